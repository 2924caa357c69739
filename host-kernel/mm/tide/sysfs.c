// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/tide:
 *
 *	eject			written to: every policy is ejected, as SysRq-T does
 *	exits			the last exit records, see exits.c
 *	policies/FAMILY-CGROUP	a policy: its name, state, and counts
 *
 * Families add their own folders.  CGROUP is a cgroup's id, the inode number of its folder.
 */
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/sysrq.h>

#include "internal.h"

struct kobject *tide_kobj;
struct kset *tide_policies_kset;

static struct tide_policy *to_policy(struct kobject *kobj)
{
	return container_of(kobj, struct tide_policy, kobj);
}

static ssize_t name_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tide_policy *policy = to_policy(kobj);

	return sysfs_emit(buf, "%s\n", policy->name);
}

static struct kobj_attribute name_attr = __ATTR_RO(name);

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tide_policy *policy = to_policy(kobj);

	if (!smp_load_acquire(&policy->dead)) /* pairs with tide_eject() */
		return sysfs_emit(buf, "attached\n");
	return sysfs_emit(buf, "ejected: %s\n", policy->reason);
}

static struct kobj_attribute state_attr = __ATTR_RO(state);

static ssize_t counts_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tide_policy *policy = to_policy(kobj);
	const char *const *names = tide_families[policy->family]->count_names;
	struct tide_tally sum;
	unsigned int i;
	int len = 0;

	tide_tally_sum(policy, &sum);
	for (i = 0; i < TIDE_COUNTS && names[i]; i++)
		len += sysfs_emit_at(buf, len, "%s %llu\n", names[i], sum.count[i]);
	return len;
}

static struct kobj_attribute counts_attr = __ATTR_RO(counts);

static struct attribute *tide_policy_attrs[] = {
	&name_attr.attr,
	&state_attr.attr,
	&counts_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(tide_policy);

static void tide_policy_release(struct kobject *kobj)
{
	struct tide_policy *policy = to_policy(kobj);

	free_percpu(policy->tally);
	mem_cgroup_put(policy->memcg);
	kfree(policy);
}

static const struct kobj_type tide_policy_type = {
	.release = tide_policy_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = tide_policy_groups,
};

void tide_sysfs_init(struct tide_policy *policy)
{
	kobject_init(&policy->kobj, &tide_policy_type);
}

/* tide_sysfs_add - show a policy that is about to be in force.  0, -EEXIST or -ENOMEM. */
int tide_sysfs_add(struct tide_policy *policy)
{
	policy->kobj.kset = tide_policies_kset;
	return kobject_add(&policy->kobj, NULL, "%s-%llu", tide_families[policy->family]->name,
			   cgroup_id(policy->memcg->css.cgroup));
}

void tide_sysfs_remove(struct tide_policy *policy)
{
	if (policy->kobj.state_in_sysfs)
		kobject_del(&policy->kobj);
}

static ssize_t eject_store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
			   size_t len)
{
	tide_eject_all("/sys/kernel/tide/eject");
	return len;
}

static struct kobj_attribute eject_attr = __ATTR_WO(eject);

static const struct attribute *const tide_attrs[] = {
	&eject_attr.attr,
	&tide_exits_attr.attr,
	NULL,
};

static void tide_sysrq(u8 key)
{
	tide_eject_all("SysRq");
}

static const struct sysrq_key_op tide_sysrq_op = {
	.handler = tide_sysrq,
	.help_msg = "eject-memory-policies(T)",
	.action_msg = "Eject all memory policies",
	.enable_mask = SYSRQ_ENABLE_RTNICE,
};

static int __init tide_sysfs_setup(void)
{
	int err;

	tide_kobj = kobject_create_and_add("tide", kernel_kobj);
	if (!tide_kobj)
		return -ENOMEM;
	err = sysfs_create_files(tide_kobj, tide_attrs);
	if (err)
		return err;
	tide_policies_kset = kset_create_and_add("policies", NULL, tide_kobj);
	if (!tide_policies_kset)
		return -ENOMEM;
	return register_sysrq_key('T', &tide_sysrq_op);
}

/* before the families, which register with BPF at late_initcall */
device_initcall(tide_sysfs_setup);
