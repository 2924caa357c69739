// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_tide: gives memory of this guest to its host and takes it back.  Here: the device's life.
 * tide.h says who does the work.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "tide.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned int tide_quiet_ms = 5000;
module_param_named(quiet_ms, tide_quiet_ms, uint, 0644);
MODULE_PARM_DESC(quiet_ms,
		 "Without pressure for so long, what is above the target is given (default 5000)");

/* Long enough for a controller that was killed to be there again, also where the host is busy. */
unsigned int tide_oom_wait_ms = 5000;
module_param_named(oom_wait_ms, tide_oom_wait_ms, uint, 0644);
MODULE_PARM_DESC(oom_wait_ms,
		 "Before the OOM killer kills, wait so long for the host to help (default 5000)");

unsigned int tide_claim_ms = 1000;
module_param_named(claim_ms, tide_claim_ms, uint, 0644);
MODULE_PARM_DESC(claim_ms,
		 "A claim that is refused or not answered is repeated after this (default 1000)");

unsigned int tide_refault_mib = 8;
module_param_named(refault_mib, tide_refault_mib, uint, 0644);
MODULE_PARM_DESC(refault_mib, "Refaults of so many MiB a second are pressure (default 8)");

/*
 * The configuration-change interrupt: flags may have changed, or the host rings.  Interrupt
 * context.
 */
static void tide_config_changed(struct virtio_device *vdev)
{
	struct tide *tide = vdev->priv;

	WRITE_ONCE(tide->told_ns, ktime_get_ns());
	set_bit(TIDE_TODO_CONFIG, &tide->todo);
	tide_attend_soon(tide);
}

static int tide_queues_init(struct tide *tide)
{
	struct virtqueue_info info[] = {
		[VIRTIO_TIDE_VQ_GIVE] = { "give", tide_give_done },
		[VIRTIO_TIDE_VQ_REPORT] = { "report", tide_report_done },
	};
	struct virtqueue *vqs[ARRAY_SIZE(info)] = {};
	bool report = virtio_has_feature(tide->vdev, VIRTIO_TIDE_F_REPORT);
	int err;

	err = virtio_find_vqs(tide->vdev, report ? 2 : 1, vqs, info, NULL);
	if (err)
		return err;
	tide->give_vq = vqs[VIRTIO_TIDE_VQ_GIVE];
	virtqueue_disable_cb(tide->give_vq);	/* tide_batch_reap() enables it */
	tide->report_vq = vqs[VIRTIO_TIDE_VQ_REPORT];
	return 0;
}

static int tide_region_find(struct tide *tide, u8 id, u64 size, struct virtio_shm_region *region)
{
	struct device *dev = &tide->vdev->dev;

	if (!virtio_get_shm_region(tide->vdev, region, id) || region->len < size) {
		dev_err(dev, "shared memory region %u is missing or too small\n", id);
		return -ENXIO;
	}
	if (!devm_request_mem_region(dev, region->addr, region->len, dev_name(dev))) {
		dev_err(dev, "shared memory region %u is in use\n", id);
		return -EBUSY;
	}
	return 0;
}

static int tide_regions_map(struct tide *tide)
{
	struct device *dev = &tide->vdev->dev;
	const struct virtio_tide_header *header;
	struct virtio_shm_region region;
	int err;

	err = tide_region_find(tide, VIRTIO_TIDE_SHM_STATE, VIRTIO_TIDE_STATE_SIZE, &region);
	if (err)
		return err;
	/* Memory of the host's, however it is dressed up as a device's. */
	tide->region = devm_memremap(dev, region.addr, region.len, MEMREMAP_WB);
	if (IS_ERR(tide->region))
		return PTR_ERR(tide->region);
	header = tide_at(tide, VIRTIO_TIDE_HEADER_OFFSET);
	if (le32_to_cpu(header->magic) != VIRTIO_TIDE_MAGIC ||
	    le32_to_cpu(header->version) != VIRTIO_TIDE_VERSION) {
		dev_err(dev, "state region: magic %#x, version %u; this driver knows version %u\n",
			le32_to_cpu(header->magic), le32_to_cpu(header->version),
			VIRTIO_TIDE_VERSION);
		return -EINVAL;
	}

	err = tide_region_find(tide, VIRTIO_TIDE_SHM_DOORBELL, sizeof(u32), &region);
	if (err)
		return err;
	tide->doorbell = devm_ioremap(dev, region.addr, region.len);
	return tide->doorbell ? 0 : -ENOMEM;
}

static int tide_workqueues_init(struct tide *tide)
{
	/* Both are needed to get out of a shortage of memory. */
	tide->attend_wq = alloc_workqueue("virtio_tide", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	tide->move_wq = alloc_workqueue("virtio_tide_move",
					WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_UNBOUND, 0);
	return tide->attend_wq && tide->move_wq ? 0 : -ENOMEM;
}

static void tide_destroy(struct tide *tide)
{
	if (tide->attend_wq)
		destroy_workqueue(tide->attend_wq);
	if (tide->move_wq)
		destroy_workqueue(tide->move_wq);
	tide_batches_destroy(tide);
	kfree(tide);
}

static struct tide *tide_create(struct virtio_device *vdev)
{
	struct tide *tide = kzalloc(sizeof(*tide), GFP_KERNEL);
	u64 ram_bytes;

	if (!tide)
		return NULL;
	tide->vdev = vdev;
	spin_lock_init(&tide->lock);
	init_waitqueue_head(&tide->relief_wait);
	init_waitqueue_head(&tide->reported);
	tide_blocks_init(tide);
	tide_attend_init(tide);
	tide_move_init(tide);
	virtio_cread_le(vdev, struct virtio_tide_config, ram_bytes, &ram_bytes);
	tide->ram_pages = ram_bytes >> PAGE_SHIFT;
	if (tide_batches_init(tide) || tide_workqueues_init(tide)) {
		tide_destroy(tide);
		return NULL;
	}
	return tide;
}

/* After it nothing runs and nothing can be queued. */
static void tide_works_disable(struct tide *tide)
{
	disable_delayed_work_sync(&tide->sample_work);
	disable_delayed_work_sync(&tide->quiet_work);
	disable_work_sync(&tide->attend_work);
	disable_delayed_work_sync(&tide->retry_work);
	disable_work_sync(&tide->move_work);
	disable_delayed_work_sync(&tide->mark_work);
}

static void tide_device_stop(struct tide *tide)
{
	virtio_reset_device(tide->vdev);
	tide_batches_reclaim(tide);
	tide->vdev->config->del_vqs(tide->vdev);
}

/* Sets the device to work.  0 or a negative errno, and then it is as before. */
static int tide_start(struct tide *tide)
{
	int err;

	err = tide_queues_init(tide);
	if (err)
		return err;
	tide_events_start(tide);
	virtio_device_ready(tide->vdev);
	tide_config_read(tide);
	err = tide_relief_start(tide);
	if (err) {
		tide_works_disable(tide);
		tide_device_stop(tide);
		return err;
	}
	tide_report_start(tide);
	tide->running = true;
	tide_attend_soon(tide);
	return 0;
}

/* Gives the guest all its memory back and ends with a device that is reset.  Process context. */
static void tide_stop(struct tide *tide)
{
	if (!tide->running)
		return;
	tide->running = false;
	spin_lock(&tide->lock);
	tide->stopping = true;
	spin_unlock(&tide->lock);
	tide_relief_stop(tide);
	tide_report_stop(tide);
	tide_works_disable(tide);
	tide_move_everything_back(tide);
	tide_device_stop(tide);
}

static int tide_probe(struct virtio_device *vdev)
{
	struct tide *tide;
	int err;

	tide = tide_create(vdev);
	if (!tide)
		return -ENOMEM;
	vdev->priv = tide;
	err = tide_regions_map(tide) ?: tide_start(tide);
	if (err) {
		vdev->priv = NULL;
		tide_destroy(tide);
		return err;
	}
	if (want_init_on_alloc(GFP_KERNEL))
		dev_info(&vdev->dev, "memory is cleared before it is given, see init_on_alloc\n");
	return 0;
}

static void tide_remove(struct virtio_device *vdev)
{
	struct tide *tide = vdev->priv;

	tide_stop(tide);
	tide_destroy(tide);
}

#ifdef CONFIG_PM_SLEEP
static void tide_works_enable(struct tide *tide)
{
	enable_delayed_work(&tide->mark_work);
	enable_work(&tide->move_work);
	enable_delayed_work(&tide->retry_work);
	enable_work(&tide->attend_work);
	enable_delayed_work(&tide->quiet_work);
	enable_delayed_work(&tide->sample_work);
}

static int tide_freeze(struct virtio_device *vdev)
{
	tide_stop(vdev->priv);
	return 0;
}

static int tide_restore(struct virtio_device *vdev)
{
	struct tide *tide = vdev->priv;

	/* The device knows of nothing after its reset, and neither does the driver. */
	tide->orders = (struct tide_orders){};
	tide->fence_sent = 0;
	tide->fenced = 0;
	tide->claim.active = false;
	tide->stalled = false;
	tide->stopping = false;
	tide_works_enable(tide);
	return tide_start(tide);
}
#endif

static const unsigned int tide_features[] = {
	VIRTIO_TIDE_F_REPORT,
};

static const struct virtio_device_id tide_ids[] = {
	{ VIRTIO_ID_TIDE, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, tide_ids);

static struct virtio_driver tide_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.dev_groups = tide_groups,
	.id_table = tide_ids,
	.feature_table = tide_features,
	.feature_table_size = ARRAY_SIZE(tide_features),
	.probe = tide_probe,
	.remove = tide_remove,
	.config_changed = tide_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = tide_freeze,
	.restore = tide_restore,
#endif
};
module_virtio_driver(tide_driver);

MODULE_DESCRIPTION("virtio-tide: a guest gives memory to its host and takes it back");
MODULE_LICENSE("GPL");
