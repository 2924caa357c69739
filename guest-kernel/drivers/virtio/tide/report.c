// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page reporting over the report queue: the kernel offers free memory, the host drops its
 * content, and the guest may use it again at any time.  Linux has one reporting device; where it
 * is, or will be, another, this does without.
 */
#include <linux/virtio_balloon.h>

#include "tide.h"

void tide_report_done(struct virtqueue *vq)
{
	struct tide *tide = vq->vdev->priv;

	wake_up(&tide->reported);
}

/* One report at a time; the pages are isolated until this returns. */
static int tide_report(struct page_reporting_dev_info *prdev, struct scatterlist *sg,
		       unsigned int nents)
{
	struct tide *tide = container_of(prdev, struct tide, prdev);
	struct virtqueue *vq = tide->report_vq;
	unsigned int len;
	int err;

	if (READ_ONCE(tide->inhibited))
		return -EBUSY;
	err = virtqueue_add_inbuf(vq, sg, nents, tide, GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	virtqueue_kick(vq);
	/* The timeout is for a device that went away without an interrupt. */
	for (;;) {
		if (wait_event_timeout(tide->reported, virtqueue_get_buf(vq, &len), HZ))
			return 0;
		if (virtqueue_is_broken(vq))
			return -EIO;
	}
}

static int tide_is_reporting_balloon(struct device *dev, void *unused)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	return vdev->id.device == VIRTIO_ID_BALLOON &&
	       vdev->config->get_features(vdev) & BIT_ULL(VIRTIO_BALLOON_F_REPORTING);
}

/*
 * virtio_balloon's probe fails if its device offers reporting and somebody else has it already,
 * and the guest would be without its balloon.
 */
static bool tide_balloon_reports(struct tide *tide)
{
	return bus_for_each_dev(tide->vdev->dev.bus, NULL, NULL, tide_is_reporting_balloon);
}

/* tide_report_start - become the reporting device if there is none; that this fails is no error. */
void tide_report_start(struct tide *tide)
{
	int err;

	if (!tide->report_vq)
		return;
	if (virtqueue_get_vring_size(tide->report_vq) < PAGE_REPORTING_CAPACITY) {
		dev_info(&tide->vdev->dev, "free page reporting is off: its queue is too small\n");
		return;
	}
	if (tide_balloon_reports(tide)) {
		dev_info(&tide->vdev->dev, "free page reporting is left to the balloon\n");
		return;
	}
	tide->prdev.report = tide_report;
	err = page_reporting_register(&tide->prdev);
	tide->reporting = !err;
	if (err == -EBUSY)
		dev_info(&tide->vdev->dev, "free page reporting is with another device\n");
	else if (err)
		dev_warn(&tide->vdev->dev, "free page reporting is off: error %d\n", err);
}

void tide_report_stop(struct tide *tide)
{
	if (tide->reporting)
		page_reporting_unregister(&tide->prdev);
	tide->reporting = false;
}
