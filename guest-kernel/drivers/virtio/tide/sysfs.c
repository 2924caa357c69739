// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes of the virtio device: how far it is and how long that took, for people, tests and
 * benchmarks.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "tide.h"

/* An attribute that shows a number which is read under the lock. */
#define TIDE_ATTR(name, expression)								\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)	\
{												\
	struct tide *tide = dev_to_virtio(dev)->priv;						\
	u64 value;										\
												\
	spin_lock(&tide->lock);									\
	value = (expression);									\
	spin_unlock(&tide->lock);								\
	return sysfs_emit(buf, "%llu\n", value);						\
}												\
static DEVICE_ATTR_RO(name)

TIDE_ATTR(ram_bytes, tide_bytes(tide->ram_pages));
TIDE_ATTR(given_bytes, tide_bytes(tide->given_pages));
TIDE_ATTR(usable_bytes, tide_bytes(tide_usable(tide)));
TIDE_ATTR(target_bytes, tide_bytes(tide->orders.target));
TIDE_ATTR(ceiling_bytes, tide_bytes(tide->orders.ceiling));
TIDE_ATTR(floor_bytes, tide_bytes(tide->orders.floor));
TIDE_ATTR(generation, tide->orders.generation);
TIDE_ATTR(fenced, tide->fenced);
TIDE_ATTR(last_give_bytes, tide_bytes(tide->gave.pages));
TIDE_ATTR(last_give_ns, tide->gave.ns);
TIDE_ATTR(last_take_bytes, tide_bytes(tide->took.pages));
TIDE_ATTR(last_take_ns, tide->took.ns);
TIDE_ATTR(relieved_bytes, tide->relieved_pages << PAGE_SHIFT);
TIDE_ATTR(stalled, READ_ONCE(tide->stalled));
TIDE_ATTR(reporting, tide->reporting);

static struct attribute *tide_attrs[] = {
	&dev_attr_ram_bytes.attr,
	&dev_attr_given_bytes.attr,
	&dev_attr_usable_bytes.attr,
	&dev_attr_target_bytes.attr,
	&dev_attr_ceiling_bytes.attr,
	&dev_attr_floor_bytes.attr,
	&dev_attr_generation.attr,
	&dev_attr_fenced.attr,
	&dev_attr_last_give_bytes.attr,
	&dev_attr_last_give_ns.attr,
	&dev_attr_last_take_bytes.attr,
	&dev_attr_last_take_ns.attr,
	&dev_attr_relieved_bytes.attr,
	&dev_attr_stalled.attr,
	&dev_attr_reporting.attr,
	NULL
};

static const struct attribute_group tide_group = {
	.name = "tide",
	.attrs = tide_attrs,
};

const struct attribute_group *tide_groups[] = { &tide_group, NULL };
