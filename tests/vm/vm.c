// SPDX-License-Identifier: GPL-2.0-or-later
/* See vm.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel-log.h"
#include "vm.h"

/* Nothing here takes long on a working machine; a guest that boots under nested emulation is the slowest. */
#define ANSWER_TIMEOUT_MS	180000
#define ARGS_MAX		96
#define BUFFER_BYTES		(512 * 1024)

struct channel {
	int fd;
	size_t used;
	char data[BUFFER_BYTES];
};

struct vm {
	char name[64];
	char log[512];
	pid_t pid;
	uint64_t memory_bytes;
	bool reaped;
	bool foreign;		/* no child of ours */
	bool qtest;
	bool incoming;
	bool counts_oom;
	struct channel qmp;
	struct channel agent;
};

struct arguments {
	char *v[ARGS_MAX + 1];
	int n;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (a->n == ARGS_MAX || vasprintf(&a->v[a->n++], format, ap) < 0)
		abort();
	va_end(ap);
	a->v[a->n] = NULL;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value)
		fprintf(stderr, "vm: %s is not set: run this through ./lab\n", name);
	return value && *value ? value : NULL;
}

static void add_firmware(struct arguments *a)
{
	const char *value = getenv("LAB_FIRMWARE");
	char *copy = strdup(value ? value : ""), *save = NULL;

	for (char *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		add(a, "-L");
		add(a, "%s", dir);
	}
	free(copy);
}

static void add_processor(struct arguments *a, const struct vm_options *o)
{
	add(a, "-accel");
	add(a, "%s", o->qtest ? "qtest" : getenv("LAB_ACCEL"));
	if (!o->qtest) {
		add(a, "-cpu");
		add(a, "%s", getenv("LAB_CPU"));
	}
}

static void add_machine(struct arguments *a, const struct vm_options *o, const struct vm *vm)
{
	add(a, "-name");
	add(a, "%s", o->name);
	add(a, "-nodefaults");
	add(a, "-no-user-config");
	add(a, "-display");
	add(a, "none");
	if (!o->qtest)
		add(a, "-no-reboot");	/* a guest that does has crashed */
	add(a, "-machine");
	add(a, "q35");
	add_processor(a, o);
	add(a, "-smp");
	add(a, "%u", o->cpus ? o->cpus : 1);
	add(a, "-m");
	add(a, "%" PRIu64 "M", (uint64_t)(o->memory_bytes / MIB));
	add(a, "-serial");
	add(a, "file:%s", vm->log);
	if (o->uuid) {
		add(a, "-uuid");
		add(a, "%s", o->uuid);
	}
	if (o->incoming) {
		add(a, "-incoming");
		add(a, "%s", o->incoming);
	}
	add_firmware(a);
}

static void add_kernel(struct arguments *a, const struct vm_options *o, const char *kernel, const char *initrd)
{
	add(a, "-kernel");
	add(a, "%s", kernel);
	add(a, "-initrd");
	add(a, "%s", initrd);
	add(a, "-append");
	add(a, "console=ttyS0 loglevel=5 panic=-1 mitigations=off lab.modules=%s %s",
	    o->modules ? o->modules : "", o->append ? o->append : "");
}

/* Who answers for the guest: its agent, or qtest in its place. */
static void add_channels(struct arguments *a, const struct vm_options *o, int qmp_fd, int agent_fd)
{
	add(a, "-chardev");
	add(a, "socket,id=qmp,fd=%d", qmp_fd);
	add(a, "-mon");
	add(a, "chardev=qmp,mode=control");
	add(a, "-chardev");
	add(a, "socket,id=agent,fd=%d", agent_fd);
	if (o->qtest) {
		add(a, "-object");
		add(a, "qtest,id=qtest0,chardev=agent,log=none");
		return;
	}
	add(a, "-device");
	add(a, "virtio-serial-pci");
	add(a, "-device");
	add(a, "virtserialport,chardev=agent,name=org.memtide.agent");
}

static void add_devices(struct arguments *a, const struct vm_options *o)
{
	if (o->disk) {
		add(a, "-drive");
		add(a, "if=none,id=disk0,format=raw,readonly=on,cache=none,file=%s,throttling.iops-total=%u,"
		    "throttling.bps-total=%llu", o->disk, o->disk_iops, (unsigned long long)o->disk_bytes);
		add(a, "-device");
		add(a, "virtio-blk-pci,drive=disk0");
	}
	if (o->tide && o->vmm_socket) {
		add(a, "-chardev");
		add(a, "socket,id=tide,path=%s,reconnect-ms=100", o->vmm_socket);
	}
	if (o->tide) {
		add(a, "-device");
		add(a, "virtio-tide-pci,id=tide0%s%s", o->vmm_socket ? ",chardev=tide" : "",
		    o->no_report ? ",report=off" : "");
	}
	if (o->balloon) {
		add(a, "-device");
		add(a, "virtio-balloon-pci,id=balloon0,free-page-reporting=%s", o->balloon_report ? "on" : "off");
	}
}

static void enter_cgroup(const char *cgroup)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		perror(path);
		_exit(126);
	}
	close(fd);
}

/* Logs of an earlier VM of this name stay: NAME.log.1 and so on. */
static void keep_old_log(const char *log)
{
	char old[sizeof(((struct vm *)0)->log) + 16];

	for (int i = 1; i < 100; i++) {
		snprintf(old, sizeof(old), "%s.%d", log, i);
		if (access(old, F_OK)) {
			rename(log, old);
			return;
		}
	}
}

void vm_log_path(const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%s.log", getenv("LAB_LOGS") ? getenv("LAB_LOGS") : ".", name);
	keep_old_log(ret_path);
}

static void run_qemu(const char *qemu, const struct vm_options *o, struct arguments *a, int qmp_fd, int agent_fd)
{
	char path[600];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	fcntl(qmp_fd, F_SETFD, 0);
	fcntl(agent_fd, F_SETFD, 0);
	if (o->cgroup)
		enter_cgroup(o->cgroup);
	snprintf(path, sizeof(path), "%s/%s.qemu.log", getenv("LAB_LOGS") ? getenv("LAB_LOGS") : ".", o->name);
	keep_old_log(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	execv(qemu, a->v);
	perror(qemu);
	_exit(127);
}

uint64_t vm_kernel_extra(void)
{
	const char *mib = getenv("LAB_KERNEL_EXTRA_MIB");

	return mib ? strtoull(mib, NULL, 10) * MIB : 0;
}

int vm_spawn(const struct vm_options *o, struct vm **ret_vm)
{
	const char *qemu = environment("LAB_QEMU");
	const char *kernel = o->kernel || o->qtest ? o->kernel : environment("LAB_KERNEL");
	const char *initrd = o->initrd || o->qtest ? o->initrd : environment("LAB_INITRD");
	int qmp[2], agent[2];
	struct arguments a = { .n = 0 };
	struct vm *vm;

	if (!qemu || (!o->qtest && (!kernel || !initrd || !environment("LAB_ACCEL") || !environment("LAB_CPU"))))
		return -EINVAL;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent)) {
		free(vm);
		return -errno;
	}
	snprintf(vm->name, sizeof(vm->name), "%s", o->name);
	vm_log_path(o->name, vm->log, sizeof(vm->log));
	vm->memory_bytes = o->memory_bytes;
	vm->counts_oom = o->counts_oom;
	vm->qtest = o->qtest;
	vm->incoming = o->incoming;

	add(&a, "%s", qemu);
	add_machine(&a, o, vm);
	if (!o->qtest)
		add_kernel(&a, o, kernel, initrd);
	add_channels(&a, o, qmp[1], agent[1]);
	add_devices(&a, o);
	vm->pid = fork();
	if (!vm->pid)
		run_qemu(qemu, o, &a, qmp[1], agent[1]);
	close(qmp[1]);
	close(agent[1]);
	for (int i = 0; i < a.n; i++)
		free(a.v[i]);
	vm->qmp.fd = qmp[0];
	vm->agent.fd = agent[0];
	*ret_vm = vm;
	return vm->pid < 0 ? -EAGAIN : 0;
}

int vm_attach(const struct vm_options *o, pid_t pid, int agent_fd, const char *log, struct vm **ret_vm)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	snprintf(vm->name, sizeof(vm->name), "%s", o->name);
	snprintf(vm->log, sizeof(vm->log), "%s", log);
	vm->memory_bytes = o->memory_bytes;
	vm->counts_oom = o->counts_oom;
	vm->foreign = true;
	vm->pid = pid;
	vm->qmp.fd = -1;
	vm->agent.fd = agent_fd;
	*ret_vm = vm;
	return 0;
}

/* Reads more into @c.  -EPIPE: the other end is gone. */
static int fill_channel(struct vm *vm, struct channel *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t n;
	int r;

	r = poll(&p, 1, ANSWER_TIMEOUT_MS);
	if (r == 0) {
		fprintf(stderr, "vm %s: no answer within %d s; its console is %s\n", vm->name, ANSWER_TIMEOUT_MS / 1000,
			vm->log);
		return -ETIMEDOUT;
	}
	n = read(c->fd, c->data + c->used, sizeof(c->data) - 1 - c->used);
	if (n <= 0) {
		fprintf(stderr, "vm %s: QEMU hung up; see %s and the .qemu.log beside it\n", vm->name, vm->log);
		return -EPIPE;
	}
	c->used += n;
	c->data[c->used] = '\0';
	return 0;
}

/* Takes @length bytes from the front of what was read. */
static void take(struct channel *c, char *to, size_t length)
{
	if (to) {
		memcpy(to, c->data, length);
		to[length] = '\0';
	}
	c->used -= length;
	memmove(c->data, c->data + length, c->used);
	c->data[c->used] = '\0';
}

/* One line without its end, allocated. */
static int read_line(struct vm *vm, struct channel *c, char **ret_line)
{
	char *end;
	int r;

	while (!(end = memchr(c->data, '\n', c->used))) {
		r = fill_channel(vm, c);
		if (r)
			return r;
	}
	*ret_line = malloc(end - c->data + 2);
	take(c, *ret_line, end - c->data + 1);
	(*ret_line)[strcspn(*ret_line, "\r\n")] = '\0';
	return 0;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data += n;
		length -= n;
	}
	return 0;
}

int vm_hear(struct vm *vm, char **ret_text)
{
	size_t length = 0;
	char word[16] = "";
	char *line, *text;
	int r;

	r = read_line(vm, &vm->agent, &line);
	if (r)
		return r;
	if (sscanf(line, "%15s %zu", word, &length) != 2 || length >= BUFFER_BYTES - 1)
		fprintf(stderr, "vm %s: the agent said '%s'\n", vm->name, line);
	free(line);
	while (vm->agent.used < length) {
		r = fill_channel(vm, &vm->agent);
		if (r)
			return r;
	}
	text = malloc(length + 1);
	take(&vm->agent, text, length);
	if (ret_text)
		*ret_text = text;
	if (strcmp(word, "ok") != 0) {
		r = -EREMOTEIO;
		fprintf(stderr, "vm %s: agent: %s\n", vm->name, text);
		if (ret_text)
			*ret_text = NULL;
		free(text);
	} else if (!ret_text) {
		free(text);
	}
	return r;
}

int vm_hear_line(struct vm *vm, char **ret_line)
{
	return read_line(vm, &vm->agent, ret_line);
}

static int tell(struct vm *vm, const char *format, va_list ap)
{
	char *line;
	int r, n;

	n = vasprintf(&line, format, ap);
	if (n < 0)
		return -ENOMEM;
	line[n] = '\n';
	r = write_all(vm->agent.fd, line, n + 1);
	free(line);
	return r;
}

int vm_tell(struct vm *vm, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = tell(vm, format, ap);
	va_end(ap);
	return r;
}

int vm_ask(struct vm *vm, char **ret_text, const char *format, ...)
{
	va_list ap;
	int r;

	va_start(ap, format);
	r = tell(vm, format, ap);
	va_end(ap);
	return r ? r : vm_hear(vm, ret_text);
}

int vm_ask_number(struct vm *vm, uint64_t *ret_value, const char *format, ...)
{
	char *text;
	va_list ap;
	int r;

	va_start(ap, format);
	r = tell(vm, format, ap);
	va_end(ap);
	r = r ? r : vm_hear(vm, &text);
	if (r)
		return r;
	*ret_value = strtoull(text, NULL, 0);
	free(text);
	return 0;
}

int vm_file_value(struct vm *vm, const char *path, const char *key, uint64_t *ret_value)
{
	char *text, *save = NULL;
	int r;

	r = vm_ask(vm, &text, "read %s", path);
	if (r)
		return r;
	r = -ENOENT;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t n = strlen(key);

		if (strncmp(line, key, n) || (line[n] != ':' && line[n] != ' '))
			continue;
		*ret_value = strtoull(line + n + 1, NULL, 0) * (strstr(line, " kB") ? 1024 : 1);
		r = 0;
	}
	free(text);
	return r;
}

static int qmp_answer(struct vm *vm, const char *command, json_t **ret_result)
{
	for (;;) {
		json_t *reply, *error, *result;
		char *line;
		int r;

		r = read_line(vm, &vm->qmp, &line);
		if (r)
			return r;
		reply = json_loads(line, 0, NULL);
		free(line);
		error = json_object_get(reply, "error");
		result = json_object_get(reply, "return");
		if (!error && !result) {	/* the greeting, or an event */
			json_decref(reply);
			continue;
		}
		if (error)
			fprintf(stderr, "vm %s: QMP %s: %s\n", vm->name, command,
				json_string_value(json_object_get(error, "desc")));
		else if (ret_result)
			*ret_result = json_incref(result);
		json_decref(reply);
		return error ? -EREMOTEIO : 0;
	}
}

int vm_qmp(struct vm *vm, const char *command, json_t *arguments, json_t **ret_result)
{
	json_t *request = json_pack("{s:s}", "execute", command);
	char *text;
	int r;

	if (arguments)
		json_object_set_new(request, "arguments", arguments);
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	r = write_all(vm->qmp.fd, text, strlen(text));
	free(text);
	return r ? r : qmp_answer(vm, command, ret_result);
}

int vm_get(struct vm *vm, const char *object, const char *property, uint64_t *ret_value)
{
	json_t *result;
	int r;

	r = vm_qmp(vm, "qom-get", json_pack("{s:s,s:s}", "path", object, "property", property), &result);
	if (r)
		return r;
	*ret_value = json_integer_value(result);
	json_decref(result);
	return 0;
}

int vm_set(struct vm *vm, const char *object, const char *property, uint64_t value)
{
	return vm_qmp(vm, "qom-set",
		      json_pack("{s:s,s:s,s:I}", "path", object, "property", property, "value", (json_int_t)value), NULL);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

int vm_wait_property(struct vm *vm, const char *object, const char *property, uint64_t low, uint64_t high,
		     unsigned int timeout_ms)
{
	uint64_t until = now_ms() + timeout_ms, value = 0;
	int r;

	do {
		r = vm_get(vm, object, property, &value);
		if (r || (value >= low && value <= high))
			return r;
		poll(NULL, 0, 2);
	} while (now_ms() < until);
	fprintf(stderr, "vm %s: %s is %" PRIu64 " after %u ms, not %" PRIu64 " to %" PRIu64 "\n", vm->name, property, value,
		timeout_ms, low, high);
	return -ETIMEDOUT;
}

/* Asks @query for its "status" until that is none of @under_way.  @ret_status: a place for the one that it is then. */
static int wait_status(struct vm *vm, const char *query, const char *under_way, char ret_status[static 32])
{
	uint64_t until = now_ms() + ANSWER_TIMEOUT_MS;
	json_t *answer;
	int r;

	do {
		r = vm_qmp(vm, query, NULL, &answer);
		if (r)
			return r;
		snprintf(ret_status, 32, "%s", json_string_value(json_object_get(answer, "status")) ?: "none");
		json_decref(answer);
		if (!strstr(under_way, ret_status))
			return 0;
		poll(NULL, 0, 2);
	} while (now_ms() < until);
	fprintf(stderr, "vm %s: %s goes on saying %s\n", vm->name, query, ret_status);
	return -ETIMEDOUT;
}

int vm_wait(struct vm *vm)
{
	int r = vm->qtest || vm->incoming ? 0 : vm_hear(vm, NULL);
	char status[32];

	r = r || vm->foreign ? r : vm_qmp(vm, "qmp_capabilities", NULL, NULL);
	return r || !vm->incoming ? r : wait_status(vm, "query-status", "inmigrate", status);
}

int vm_migrate(struct vm *vm, const char *uri)
{
	char status[32];
	int r;

	r = vm_qmp(vm, "migrate", json_pack("{s:s}", "uri", uri), NULL);
	r = r ? r : wait_status(vm, "query-migrate", "none setup active pre-switchover device", status);
	if (!r && strcmp(status, "completed")) {
		fprintf(stderr, "vm %s: migration to %s ends as %s\n", vm->name, uri, status);
		r = -EIO;
	}
	return r;
}

int vm_migration_blocked(struct vm *vm, char **ret_why)
{
	const char *why;
	json_t *answer;
	int r;

	r = vm_qmp(vm, "query-migrate", NULL, &answer);
	if (r)
		return r;
	why = json_string_value(json_array_get(json_object_get(answer, "blocked-reasons"), 0));
	*ret_why = why ? strdup(why) : NULL;
	json_decref(answer);
	return 0;
}

int vm_start(const struct vm_options *options, struct vm **ret_vm)
{
	struct vm *vm;
	int r;

	r = vm_spawn(options, &vm);
	if (r)
		return r;
	r = vm_wait(vm);
	if (r) {
		vm_stop(vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}

pid_t vm_pid(const struct vm *vm)
{
	return vm->pid;
}

const char *vm_name(const struct vm *vm)
{
	return vm->name;
}

void vm_kill(struct vm *vm)
{
	if (vm->reaped)
		return;
	kill(vm->pid, SIGKILL);
	if (!vm->foreign)
		waitpid(vm->pid, NULL, 0);
	vm->reaped = true;
}

/* @meant: whether memory is to run out, from the beginning. */
static int check_log(const char *path, bool meant)
{
	static const char *const bad[] = {
		"WARNING:", "BUG:", "Oops", "general protection", "Kernel panic", "INFO: task ", "KASAN", "UBSAN",
		"possible recursive locking", "possible circular locking", "inconsistent lock state", "Call Trace:",
		"suspicious RCU usage", "detected stall", "Bad page", "list_add corruption", "list_del corruption",
	};
	bool report = false;
	char line[1024];
	FILE *f = fopen(path, "re");
	int r = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		meant = (meant || strstr(line, KERNEL_LOG_MEANT)) && !strstr(line, KERNEL_LOG_OVER);
		report |= meant && (strstr(line, "invoked oom-killer") || strstr(line, "allocation fail"));
		if (report && strstr(line, "Call Trace:")) {
			report = false;
			continue;
		}
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			if (strstr(line, bad[i])) {
				fprintf(stderr, "%s: %s", path, line);
				r = -EBADMSG;
			}
		}
	}
	fclose(f);
	return r;
}

int kernel_log_check(const char *path)
{
	return check_log(path, false);
}

int vm_stop(struct vm *vm)
{
	char path[sizeof(vm->log)];
	bool counts_oom;

	if (!vm)
		return 0;
	if (!vm->foreign) {
		vm_kill(vm);
		close(vm->qmp.fd);
	}
	close(vm->agent.fd);
	memcpy(path, vm->log, sizeof(path));
	counts_oom = vm->counts_oom;
	free(vm);
	return check_log(path, counts_oom);
}

int vm_resident(const struct vm *vm, uint64_t *ret_bytes)
{
	char path[64], line[256];
	uint64_t size = 0, rss;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", vm->pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	*ret_bytes = 0;
	while (fgets(line, sizeof(line), f)) {
		uint64_t start, end;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
			size = end - start;
		else if (sscanf(line, "Rss: %" SCNu64 " kB", &rss) == 1 && size >= vm->memory_bytes)
			*ret_bytes += rss * 1024;
	}
	fclose(f);
	return 0;
}
