// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a domain says of its own memory.  libvirt has checked the document, or will; so this looks at what it needs
 * to know and passes over the rest, but takes no number that it cannot read.
 */
#include "domain-limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "domain-xml.h"

#define UNSET		MEMTIDE_DOMAIN_UNSET
#define QEMU_NAMESPACE	"http://libvirt.org/schemas/domain/qemu/1.0"
/* VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, which is in KiB: how libvirt writes that there is no limit. */
#define UNLIMITED	(9007199254740991ULL << 10)

static const struct {
	const char *name;
	const char *text;
} obstacle_words[MEMTIDE_OBSTACLES] = {
	[MEMTIDE_OBSTACLE_VFIO] = { "vfio", "a device of the host has all its memory pinned" },
	[MEMTIDE_OBSTACLE_HUGETLB] = { "hugepages", "its memory is from the host's pool of huge pages" },
	[MEMTIDE_OBSTACLE_LOCKED] = { "locked", "its memory is locked" },
	[MEMTIDE_OBSTACLE_SHARED] = { "shared", "its memory is shared with other processes" },
	[MEMTIDE_OBSTACLE_FILE] = { "file", "its memory is a file" },
	[MEMTIDE_OBSTACLE_ENCRYPTED] = { "encrypted", "its memory is encrypted" },
};

/*
 * Sizes
 */

/* libvirt's units (virScaleInteger): powers of 1024 as K or KiB, of 1000 as KB, none is KiB.  0 if it is none. */
static uint64_t scale_of(const char *unit)
{
	static const char prefixes[] = "kmgtpe";
	const char *prefix;
	uint64_t base, scale = 1;

	if (!*unit)
		return 1024;
	if (!strcasecmp(unit, "b") || !strcasecmp(unit, "byte") || !strcasecmp(unit, "bytes"))
		return 1;
	prefix = strchr(prefixes, tolower((unsigned char)*unit));
	if (!prefix)
		return 0;
	if (!unit[1] || !strcasecmp(unit + 1, "iB"))
		base = 1024;
	else if (!strcasecmp(unit + 1, "B"))
		base = 1000;
	else
		return 0;
	for (; prefix >= prefixes; prefix--)
		scale *= base;
	return scale;
}

static int read_size(const xmlNode *node, struct memtide_domain_value *ret_value, struct memtide_errtext *errtext)
{
	char text[DOMAIN_TEXT], unit[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	uint64_t scale, bytes;
	char *end;
	int r;

	r = domain_xml_text(node, text, errtext);
	if (!r)
		r = domain_xml_attribute(node, "unit", unit, errtext);
	if (r < 0)
		return r;
	scale = scale_of(unit);
	if (!scale)
		return domain_xml_error(node, errtext, "unit = \"%s\": write KiB, MiB, GiB or TiB",
					domain_xml_quote(unit, quoted, sizeof(quoted)));
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end)
		return domain_xml_error(node, errtext, "\"%s\": not a whole number",
					domain_xml_quote(text, quoted, sizeof(quoted)));
	if (errno || __builtin_mul_overflow(bytes, scale, &bytes))
		bytes = UNLIMITED;
	ret_value->value = bytes;
	ret_value->line = domain_xml_line(node);
	return 0;
}

/* The first child of that name, as libvirt has it; leaves @ret_value alone where there is none. */
static int read_child_size(const xmlNode *node, const char *name, struct memtide_domain_value *ret_value,
			   struct memtide_errtext *errtext)
{
	const xmlNode *child = domain_xml_child(node, NULL, name);

	return child ? read_size(child, ret_value, errtext) : 0;
}

static int read_limit(const xmlNode *memtune, const char *name, struct memtide_domain_value *ret_value,
		      struct memtide_errtext *errtext)
{
	struct memtide_domain_value value = { .value = UNSET };
	int r = read_child_size(memtune, name, &value, errtext);

	if (!r && value.value < UNLIMITED)
		*ret_value = value;
	return r;
}

static int read_sizes(const xmlNode *domain, struct memtide_domain_limits *limits, struct memtide_errtext *errtext)
{
	const xmlNode *memtune = domain_xml_child(domain, NULL, "memtune");
	int r;

	r = read_child_size(domain, "memory", &limits->memory, errtext);
	if (!r)
		r = read_child_size(domain, "currentMemory", &limits->current, errtext);
	if (!r && memtune)
		r = read_limit(memtune, "hard_limit", &limits->hard_limit, errtext);
	if (!r && memtune)
		r = read_limit(memtune, "soft_limit", &limits->soft_limit, errtext);
	return r;
}

/*
 * Obstacles.  Only the first of each kind is kept.
 */

static void add_obstacle(struct memtide_domain_limits *limits, enum memtide_obstacle obstacle, const char *element,
			 const xmlNode *node)
{
	if (limits->obstacles[obstacle].element)
		return;
	limits->obstacles[obstacle].element = element;
	limits->obstacles[obstacle].line = domain_xml_line(node);
}

static void read_backing(const xmlNode *backing, struct memtide_domain_limits *limits)
{
	for (const xmlNode *node = backing->children; node; node = node->next) {
		if (domain_xml_is(node, NULL, "nosharepages")) {
			limits->nosharepages = domain_xml_line(node);
		} else if (domain_xml_is(node, NULL, "hugepages")) {
			add_obstacle(limits, MEMTIDE_OBSTACLE_HUGETLB, "<hugepages>", node);
		} else if (domain_xml_is(node, NULL, "locked")) {
			add_obstacle(limits, MEMTIDE_OBSTACLE_LOCKED, "<locked>", node);
		} else if (domain_xml_is(node, NULL, "access") && domain_xml_attribute_is(node, "mode", "shared")) {
			add_obstacle(limits, MEMTIDE_OBSTACLE_SHARED, "<access mode='shared'>", node);
		} else if (domain_xml_is(node, NULL, "source")) {
			if (domain_xml_attribute_is(node, "type", "memfd"))
				add_obstacle(limits, MEMTIDE_OBSTACLE_FILE, "<source type='memfd'>", node);
			else if (domain_xml_attribute_is(node, "type", "file"))
				add_obstacle(limits, MEMTIDE_OBSTACLE_FILE, "<source type='file'>", node);
		}
	}
}

/* A NUMA node may have memory of another kind than the rest. */
static void read_numa(const xmlNode *domain, struct memtide_domain_limits *limits)
{
	const xmlNode *cpu = domain_xml_child(domain, NULL, "cpu");
	const xmlNode *numa = cpu ? domain_xml_child(cpu, NULL, "numa") : NULL;

	for (const xmlNode *node = numa ? numa->children : NULL; node; node = node->next)
		if (domain_xml_is(node, NULL, "cell") && domain_xml_attribute_is(node, "memAccess", "shared"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_SHARED, "<cell memAccess='shared'>", node);
}

/* Devices that QEMU gives all memory to, by VFIO or vDPA: it refuses to discard any as long as they are there. */
static void read_device(const xmlNode *node, struct memtide_domain_limits *limits)
{
	if (domain_xml_is(node, NULL, "hostdev")) {
		if (domain_xml_attribute_is(node, "type", "pci"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<hostdev type='pci'>", node);
		else if (domain_xml_attribute_is(node, "type", "mdev") &&
			 !domain_xml_attribute_is(node, "model", "vfio-ccw") &&
			 !domain_xml_attribute_is(node, "model", "vfio-ap"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<hostdev type='mdev'>", node);
	} else if (domain_xml_is(node, NULL, "interface")) {
		if (domain_xml_attribute_is(node, "type", "hostdev"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<interface type='hostdev'>", node);
		else if (domain_xml_attribute_is(node, "type", "vdpa"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<interface type='vdpa'>", node);
	} else if (domain_xml_is(node, NULL, "disk")) {
		if (domain_xml_attribute_is(node, "type", "nvme"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<disk type='nvme'>", node);
		else if (domain_xml_attribute_is(node, "type", "vhostvdpa"))
			add_obstacle(limits, MEMTIDE_OBSTACLE_VFIO, "<disk type='vhostvdpa'>", node);
	} else if (domain_xml_is(node, NULL, "memballoon") && domain_xml_attribute_is(node, "model", "none")) {
		limits->no_balloon = domain_xml_line(node);
	} else if (domain_xml_is(node, NULL, "memballoon")) {
		limits->autodeflate = domain_xml_attribute_is(node, "autodeflate", "on");
	}
}

/* As it is given to QEMU, "virtio-tide-pci,..." or as JSON. */
static bool has_tide_device(const xmlNode *domain)
{
	const xmlNode *arguments = domain_xml_child(domain, QEMU_NAMESPACE, "commandline");
	bool found = false;

	for (const xmlNode *node = arguments ? arguments->children : NULL; node && !found; node = node->next) {
		xmlChar *value;

		if (!domain_xml_is(node, QEMU_NAMESPACE, "arg"))
			continue;
		value = xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)"value");
		found = value && strstr((const char *)value, "virtio-tide");
		xmlFree(value);
	}
	return found;
}

int domain_limits_from(const xmlNode *domain, struct memtide_domain_limits *ret_limits,
		       struct memtide_errtext *errtext)
{
	struct memtide_domain_limits limits = {
		.memory.value = UNSET,
		.current.value = UNSET,
		.hard_limit.value = UNSET,
		.soft_limit.value = UNSET,
	};
	const xmlNode *child;
	int r;

	r = read_sizes(domain, &limits, errtext);
	if (r)
		return r;
	child = domain_xml_child(domain, NULL, "memoryBacking");
	if (child)
		read_backing(child, &limits);
	read_numa(domain, &limits);
	child = domain_xml_child(domain, NULL, "devices");
	for (child = child ? child->children : NULL; child; child = child->next)
		read_device(child, &limits);
	child = domain_xml_child(domain, NULL, "launchSecurity");
	if (child)
		add_obstacle(&limits, MEMTIDE_OBSTACLE_ENCRYPTED, "<launchSecurity>", child);
	limits.tide_device = has_tide_device(domain);
	*ret_limits = limits;
	return 0;
}

/*
 * What follows from it
 */

uint64_t memtide_domain_most(const struct memtide_domain_limits *limits)
{
	uint64_t most = limits->memory.value;

	if (limits->current.value < most)
		most = limits->current.value;
	if (limits->hard_limit.value < most)
		most = limits->hard_limit.value;
	if (limits->soft_limit.value < most)
		most = limits->soft_limit.value;
	return most;
}

bool memtide_domain_reclaimable(const struct memtide_domain_limits *limits)
{
	for (int i = 0; i < MEMTIDE_OBSTACLES; i++)
		if (limits->obstacles[i].element)
			return false;
	return true;
}

const char *memtide_obstacle_name(enum memtide_obstacle obstacle)
{
	return obstacle_words[obstacle].name;
}

const char *memtide_obstacle_text(enum memtide_obstacle obstacle)
{
	return obstacle_words[obstacle].text;
}
