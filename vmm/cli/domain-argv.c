// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain-argv.h. */
#include "domain-argv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain-xml.h"
#include "emulator.h"

/*
 * A shell's words, as far as libvirt writes them: '...', "...", a backslash, and one before the end of a line.
 */

/* Read one word from *@text into @word, which has room for all that is left.  False if a quote is not closed. */
static bool read_word(const char **text, char *word)
{
	const char *p = *text;
	char quote = '\0';

	for (; *p && (quote || !strchr(" \t\n", *p)); p++) {
		if (*p == '\\' && quote != '\'' && p[1]) {
			p++;
			if (*p != '\n')
				*word++ = *p;
		} else if (*p == quote) {
			quote = '\0';
		} else if (!quote && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else {
			*word++ = *p;
		}
	}
	*word = '\0';
	*text = p;
	return !quote;
}

/* A backslash before the end of a line stands for nothing. */
static const char *skip_blanks(const char *text)
{
	while (*text && (strchr(" \t\n", *text) || (*text == '\\' && text[1] == '\n')))
		text += *text == '\\' ? 2 : 1;
	return text;
}

static bool is_variable(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals && equals > word && !memchr(word, '/', equals - word);
}

int domain_argv_split(const char *text, char ***ret_argv)
{
	/* as many words as there could be at most: each takes a byte and a blank */
	char **argv = calloc(strlen(text) / 2 + 2, sizeof(*argv)), *word = malloc(strlen(text) + 1);
	size_t nr = 0;
	bool closed = true;

	for (text = skip_blanks(text); argv && word && *text && closed; text = skip_blanks(text)) {
		closed = read_word(&text, word);
		if (nr || !is_variable(word))
			argv[nr++] = strdup(word);
	}
	free(word);
	if (!argv || !closed || !nr) {
		domain_argv_free(argv);
		return -EINVAL;
	}
	*ret_argv = argv;
	return 0;
}

void domain_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

bool domain_argv_has(char *const argv[], const char *option)
{
	for (size_t i = 0; argv[i]; i++)
		if (!strcmp(argv[i], option))
			return true;
	return false;
}

/*
 * What QEMU is to do
 */

/* Options with a thing of some kind: its name comes first, or is the value of a key; in JSON, of that key alone. */
static const struct {
	const char *option;
	const char *kind;
	const char *key;
} things[] = {
	{ "-device", "device", "driver" },
	{ "-machine", "machine", "type" },
	{ "-M", "machine", "type" },
	{ "-accel", "accel", "accel" },
	{ "-cpu", "cpu", "" },
	{ "-object", "object", "qom-type" },
	{ "-netdev", "netdev", "type" },
	{ "-chardev", "chardev", "backend" },
	{ "-blockdev", "block", "driver" },
	{ "-audiodev", "audio", "driver" },
	{ "-tpmdev", "tpm", "type" },
};

/* Block devices are nested. */
static void add_json(json_t *uses, const char *kind, const char *key, const json_t *object)
{
	json_t *member;
	const char *name;

	json_object_foreach((json_t *)object, name, member) {
		if (!strcmp(name, key) && json_is_string(member))
			emulator_add(uses, kind, json_string_value(member));
		else if (json_is_object(member) && !strcmp(kind, "block"))
			add_json(uses, kind, key, member);
	}
}

/* The value of @key in "a,key=b,c=d", else what stands first if it has no key. */
static void add_text(json_t *uses, const char *kind, const char *key, const char *value)
{
	const char *found = value;
	char pattern[32], name[128];

	snprintf(pattern, sizeof(pattern), ",%s=", key);
	if (*key && !strncmp(value, pattern + 1, strlen(pattern + 1)))
		found = value + strlen(pattern + 1);
	else if (*key && strstr(value, pattern))
		found = strstr(value, pattern) + strlen(pattern);
	else if (memchr(value, '=', strcspn(value, ",")))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(found, ","), found);
	if (*name)
		emulator_add(uses, kind, name);
}

static void add_option(json_t *uses, const char *option, const char *value)
{
	json_t *object;

	for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
		if (strcmp(option, things[i].option))
			continue;
		object = *value == '{' ? json_loads(value, 0, NULL) : NULL;
		if (object)
			add_json(uses, things[i].kind, things[i].key, object);
		else
			add_text(uses, things[i].kind, things[i].key, value);
		json_decref(object);
	}
}

json_t *domain_argv_uses(char *const argv[])
{
	json_t *uses = json_object();

	for (size_t i = 1; argv[i] && argv[i + 1]; i++)
		if (argv[i][0] == '-')
			add_option(uses, argv[i], argv[i + 1]);
	return uses;
}

/*
 * Network cards
 */

/* What stands behind an <interface>; a bridge that libvirt makes is a tap device to QEMU. */
static const struct {
	const char *type;
	const char *netdev;
} interface_types[] = {
	{ "network", "tap" }, { "bridge", "tap" }, { "direct", "tap" }, { "ethernet", "tap" }, { "user", "user" },
	{ "vhostuser", "vhost-user" }, { "vdpa", "vhost-vdpa" }, { "udp", "socket" }, { "mcast", "socket" },
	{ "client", "socket" }, { "server", "socket" },
};

static void child_attribute(const xmlNode *node, const char *child_name, const char *name,
			    char ret_text[static DOMAIN_TEXT])
{
	const xmlNode *child = domain_xml_child(node, NULL, child_name);

	ret_text[0] = '\0';
	if (child)
		domain_xml_attribute(child, name, ret_text, NULL);
}

static void add_interface(const xmlNode *interface, bool kvm, json_t *uses)
{
	char type[DOMAIN_TEXT], model[DOMAIN_TEXT], driver[DOMAIN_TEXT], backend[DOMAIN_TEXT];
	const char *netdev = "";

	domain_xml_attribute(interface, "type", type, NULL);
	child_attribute(interface, "model", "type", model);
	child_attribute(interface, "driver", "name", driver);
	child_attribute(interface, "backend", "type", backend);
	if (!strcmp(type, "hostdev")) {
		emulator_add(uses, "device", "vfio-pci");
		return;
	}
	for (size_t i = 0; i < sizeof(interface_types) / sizeof(interface_types[0]); i++)
		if (!strcmp(type, interface_types[i].type))
			netdev = interface_types[i].netdev;
	if (!strcmp(backend, "passt"))
		netdev = "stream";
	if (*netdev)
		emulator_add(uses, "netdev", netdev);
	if (!strncmp(model, "virtio", 6)) {
		/* libvirt opens vhost for KVM by itself, and a QEMU that cannot take it does not start */
		if (!strcmp(netdev, "tap") && strcmp(driver, "qemu") && (kvm || !strcmp(driver, "vhost")))
			emulator_add(uses, "vhost", "vhost-net");
		strcpy(model, !strcmp(model, "virtio-transitional") ? "virtio-net-pci-transitional" :
			      !strcmp(model, "virtio-non-transitional") ? "virtio-net-pci-non-transitional" :
			      "virtio-net-pci");
	}
	if (*model)
		emulator_add(uses, "device", model);
}

int domain_xml_uses(const char *xml, json_t *uses, struct memtide_errtext *errtext)
{
	const xmlNode *domain, *devices;
	char type[DOMAIN_TEXT];
	xmlDoc *doc;
	int r;

	r = domain_xml_open(xml, strlen(xml), &doc, errtext);
	if (r)
		return r;
	domain = xmlDocGetRootElement(doc);
	domain_xml_attribute(domain, "type", type, NULL);
	devices = domain_xml_child(domain, NULL, "devices");
	for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
		if (domain_xml_is(node, NULL, "interface"))
			add_interface(node, !strcmp(type, "kvm"), uses);
	xmlFreeDoc(doc);
	return 0;
}
