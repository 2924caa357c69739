// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See emulator.h.  QMP has nearly all of it, in a form that is meant for programs.  What it does not have are devices
 * by the names that -device takes, and which back ends of networks were built: these are read from the help texts.
 */
#include "emulator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "reply.h"

/* A QEMU without a machine answers within a second; on a busy host, emulated itself, within some. */
#define ANSWER_S	30

/*
 * Lists
 */

static bool array_has(const json_t *array, const char *name)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value)
		if (!strcmp(json_string_value(value) ?: "", name))
			return true;
	return false;
}

bool emulator_has(const json_t *list, const char *kind, const char *name)
{
	return array_has(json_object_get(list, kind), name);
}

void emulator_add(json_t *list, const char *kind, const char *name)
{
	json_t *array = json_object_get(list, kind);

	if (!array) {
		array = json_array();
		json_object_set_new(list, kind, array);
	}
	if (!array_has(array, name))
		json_array_append_new(array, json_string(name));
}

json_t *emulator_lacks(const json_t *uses, const json_t *has)
{
	json_t *lacks = json_object(), *names, *name;
	const char *kind;
	size_t i;

	json_object_foreach((json_t *)uses, kind, names) {
		if (!json_is_array(json_object_get(has, kind)))
			continue;
		json_array_foreach(names, i, name)
			if (!emulator_has(has, kind, json_string_value(name)))
				emulator_add(lacks, kind, json_string_value(name));
	}
	return lacks;
}

/*
 * Help texts
 */

/* Of each line like
 *	name "ich9-ahci", bus PCI, alias "ahci", desc "..."
 * name and alias.
 */
void emulator_read_devices(const char *text, json_t *has)
{
	char name[128], alias[128];
	const char *end, *comma;

	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		if (sscanf(text, "name \"%127[^\"\n]\"", name) != 1)
			continue;
		emulator_add(has, "device", name);
		comma = memmem(text, end - text, ", alias \"", 9);
		if (comma && sscanf(comma, ", alias \"%127[^\"\n]\"", alias) == 1)
			emulator_add(has, "device", alias);
	}
}

/* One name a line, below a line that ends in a colon. */
void emulator_read_netdevs(const char *text, json_t *has)
{
	bool begun = false;
	char name[128];
	const char *end;

	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		if (end > text && end[-1] == ':')
			begun = true;
		else if (begun && sscanf(text, "%127[^ \n]", name) == 1)
			emulator_add(has, "netdev", name);
	}
}

/*
 * QMP
 */

enum { NEGOTIATE, VERSION, MACHINES, CPUS, OBJECTS, ACCELS, KVM, TPMS, SCHEMA, QUESTIONS };

const char *emulator_questions(void)
{
	return "{\"id\": 0, \"execute\": \"qmp_capabilities\"}\n"
	       "{\"id\": 1, \"execute\": \"query-version\"}\n"
	       "{\"id\": 2, \"execute\": \"query-machines\"}\n"
	       "{\"id\": 3, \"execute\": \"query-cpu-definitions\"}\n"
	       "{\"id\": 4, \"execute\": \"qom-list-types\", \"arguments\": {\"implements\": \"user-creatable\", "
	       "\"abstract\": false}}\n"
	       "{\"id\": 5, \"execute\": \"qom-list-types\", \"arguments\": {\"implements\": \"accel\", "
	       "\"abstract\": false}}\n"
	       "{\"id\": 6, \"execute\": \"query-kvm\"}\n"
	       "{\"id\": 7, \"execute\": \"query-tpm-types\"}\n"
	       "{\"id\": 8, \"execute\": \"query-qmp-schema\"}\n"
	       "{\"id\": 9, \"execute\": \"quit\"}\n";
}

/* Names of things, and what else they are called. */
static void add_named(json_t *has, const char *kind, const json_t *things)
{
	const json_t *thing;
	size_t i;

	json_array_foreach(things, i, thing) {
		emulator_add(has, kind, reply_text(thing, "name"));
		if (*reply_text(thing, "alias"))
			emulator_add(has, kind, reply_text(thing, "alias"));
	}
}

/* "kvm-accel" is what -accel calls kvm, and is in every QEMU: whether it works is what query-kvm says. */
static void add_accels(json_t *has, const json_t *types, const json_t *kvm)
{
	char name[128], *end;
	const json_t *type;
	size_t i;

	json_array_foreach(types, i, type) {
		snprintf(name, sizeof(name), "%s", reply_text(type, "name"));
		end = strstr(name, "-accel");
		if (!end || end[6])
			continue;
		*end = '\0';
		if (strcmp(name, "kvm") || json_is_true(json_object_get(kvm, "present")))
			emulator_add(has, "accel", name);
	}
}

static const json_t *find_named(const json_t *things, const char *name)
{
	const json_t *thing;
	size_t i;

	json_array_foreach(things, i, thing)
		if (!strcmp(reply_text(thing, "name"), name))
			return thing;
	return NULL;
}

/* Types have numbers for names, given in no order. */
static const json_t *type_of(const json_t *schema, const json_t *thing, const char *role)
{
	return find_named(schema, reply_text(thing, role));
}

/* The values of an enumeration: in "members" with more about each, or in "values" alone. */
static void add_enumeration(json_t *has, const char *kind, const json_t *enumeration)
{
	const json_t *value;
	size_t i;

	if (json_is_array(json_object_get(enumeration, "members"))) {
		add_named(has, kind, json_object_get(enumeration, "members"));
		return;
	}
	json_array_foreach(json_object_get(enumeration, "values"), i, value)
		emulator_add(has, kind, json_string_value(value) ?: "");
}

/* The values that member @tag of @object can have. */
static void add_tag(json_t *has, const char *kind, const json_t *schema, const json_t *object, const char *tag)
{
	add_enumeration(has, kind, type_of(schema, find_named(json_object_get(object, "members"), tag), "type"));
}

/* What back ends there are is said by the commands that take them, or show them. */
static void add_backends(json_t *has, const json_t *schema)
{
	const json_t *arguments, *shown;

	arguments = type_of(schema, find_named(schema, "blockdev-add"), "arg-type");
	add_tag(has, "block", schema, arguments, "driver");
	arguments = type_of(schema, find_named(schema, "chardev-add"), "arg-type");
	add_tag(has, "chardev", schema,
		type_of(schema, find_named(json_object_get(arguments, "members"), "backend"), "type"), "type");
	shown = type_of(schema, find_named(schema, "query-audiodevs"), "ret-type");
	add_tag(has, "audio", schema, type_of(schema, shown, "element-type"), "driver");
}

static void add_tpms(json_t *has, const json_t *answer)
{
	const json_t *type;
	size_t i;

	/* without any the command is not there either, which is an answer, too */
	json_object_set_new(has, "tpm", json_array());
	json_array_foreach(answer, i, type)
		emulator_add(has, "tpm", json_string_value(type) ?: "");
}

static void split_answers(const char *text, json_t *answers[static QUESTIONS])
{
	json_int_t id;
	json_t *object;
	const char *end;

	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		object = json_loadb(text, end - text, 0, NULL);
		id = json_integer_value(json_object_get(object, "id"));
		if (json_object_get(object, "return") && id > 0 && id < QUESTIONS && !answers[id])
			answers[id] = json_incref(json_object_get(object, "return"));
		json_decref(object);
	}
}

int emulator_read_answers(const char *text, json_t *has)
{
	json_t *answers[QUESTIONS] = {}, *number;
	char version[64];

	split_answers(text, answers);
	number = json_object_get(answers[VERSION], "qemu");
	snprintf(version, sizeof(version), "%llu.%llu.%llu", (unsigned long long)reply_number(number, "major"),
		 (unsigned long long)reply_number(number, "minor"), (unsigned long long)reply_number(number, "micro"));
	json_object_set_new(has, "version", json_string(version));
	add_named(has, "machine", answers[MACHINES]);
	add_named(has, "cpu", answers[CPUS]);
	add_named(has, "object", answers[OBJECTS]);
	add_accels(has, answers[ACCELS], answers[KVM]);
	add_backends(has, answers[SCHEMA]);
	add_tpms(has, answers[TPMS]);
	for (int i = 0; i < QUESTIONS; i++)
		json_decref(answers[i]);
	return number ? 0 : -EPROTO;
}

/*
 * Asking
 */

/*
 * QEMU does not say whether it was built with vhost for networks.  It was, where it was built with the other devices
 * that rest on the same part.
 */
static void add_vhost(json_t *has)
{
	json_object_set_new(has, "vhost", json_array());
	if (emulator_has(has, "device", "vhost-vsock-pci") || emulator_has(has, "device", "vhost-scsi-pci"))
		emulator_add(has, "vhost", "vhost-net");
}

static int ask_all(char *path, json_t *has, struct memtide_errtext *errtext)
{
	char *const devices[] = { path, "-device", "help", NULL };
	char *const netdevs[] = { path, "-netdev", "help", NULL };
	char *const qmp[] = {
		path, "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none", "-qmp", "stdio", NULL
	};
	char *text;
	int r;

	r = child_run(devices, NULL, ANSWER_S, &text, errtext);
	if (r < 0)
		return r;
	emulator_read_devices(text, has);
	free(text);
	r = child_run(netdevs, NULL, ANSWER_S, &text, errtext);
	if (r < 0)
		return r;
	emulator_read_netdevs(text, has);
	free(text);
	add_vhost(has);
	r = child_run(qmp, emulator_questions(), ANSWER_S, &text, errtext);
	if (r < 0)
		return r;
	r = emulator_read_answers(text, has);
	free(text);
	return r ? memtide_errtext_set(errtext, r, "%s is no QEMU: it does not say its version over QMP", path) : 0;
}

int emulator_ask(const char *path, json_t **ret_has, struct memtide_errtext *errtext)
{
	char *copy;
	json_t *has;
	int r;

	if (access(path, X_OK))
		return memtide_errtext_set(errtext, -errno, "%s: %m; docs/qemu-package.md says how to build it, "
					   "--emulator PATH where it is", path);
	copy = strdup(path);
	has = json_object();
	r = copy && has ? ask_all(copy, has, errtext) : memtide_errtext_set(errtext, -ENOMEM, "no memory");
	free(copy);
	if (r)
		json_decref(has);
	else
		*ret_has = has;
	return r;
}
