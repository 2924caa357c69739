// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the controller costs: the real memtided with 1,000 made-up VMs in another process, which speak the real
 *protocol with real regions and eventfds, and ring 1,000 times a second in all; and, in this process, the code of
 *a round over 10,000 VMs with the real policy.
 *
 *	cpu_pct		CPU time of memtided while the VMs ring, in percent of one core
 *	decide_p99_ms	from memtided's wake-up to what it decided on a claim
 *	answer_p50_ms	from a VM's doorbell to the interrupt that answers it, through both processes; half of
 *			them, since a claim that cannot be met at once waits for donors or for a round
 *	round_10k_ms	a round over 10,000 VMs of which one in a hundred has changed
 *	round_10k_all_ms	... of which all have to be decided on
 *
 * Needs the environment that `lab` sets: LAB_BUILD.  Without CAP_BPF there is no policy, and no rounds are
 *measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller-round.h"
#include "controller-rpc.h"
#include "histogram.h"
#include "peer.h"
#include "report.h"

#define MIB		(UINT64_C(1) << 20)
#define PEERS		1000
#define EVENTS_A_SECOND	1000
#define RAM		(256 * MIB)
/* The VMs have to come down from 256 MiB each first, so that claims find room and donors. */
#define BUDGET_MIB	(PEERS * 192)
#define SETTLE_MS	60000
#define MEASURE_S	15

/* Shared with the process that has the VMs. */
struct progress {
	unsigned int connected;
	bool measure;
	uint64_t events;
	struct memtide_histogram answers_ns;	/* while @measure */
};

struct fleet {
	struct peer *peer[PEERS];
	uint64_t claimed_ns[PEERS];		/* 0: no answer is awaited */
	unsigned int turn[PEERS];		/* what it does next */
	struct progress *progress;
	unsigned int next;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "controller: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

/*
 * The VMs' process
 */

static void connect_all(struct fleet *fleet, const char *socket, int epoll)
{
	struct memtide_errtext words;
	char name[32];

	for (unsigned int i = 0; i < PEERS; i++) {
		struct peer_options options = { .name = name, .uuid_end = i + 1, .ram = RAM, .needs = 96 * MIB };
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };
		int r;

		snprintf(name, sizeof(name), "peer-%u", i);
		r = peer_new(&options, &fleet->peer[i]);
		if (!r)
			r = peer_connect(fleet->peer[i], socket, &words);
		if (r) {
			fprintf(stderr, "controller: %s: %s\n", name, words.text);
			die("a VM is not managed", r);
		}
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer_call_fd(fleet->peer[i]), &event) < 0)
			die("epoll", errno);
		fleet->progress->connected++;
	}
}

static void serve(struct fleet *fleet, unsigned int i)
{
	struct progress *progress = fleet->progress;

	if (fleet->claimed_ns[i] && progress->measure)
		memtide_histogram_add(&progress->answers_ns, peer_now_ns() - fleet->claimed_ns[i]);
	fleet->claimed_ns[i] = 0;
	peer_serve(fleet->peer[i]);
}

/* One event of one VM: it claims, uses what it got and says so, and is done with it. */
static void act(struct fleet *fleet)
{
	unsigned int i = fleet->next++ % PEERS;
	struct peer *peer = fleet->peer[i];
	uint64_t used;

	switch (fleet->turn[i]++ % 3) {
	case 0:
		fleet->claimed_ns[i] = peer_now_ns();
		peer_claim(peer, 8 * MIB);
		break;
	case 1:
		used = peer_use(peer, 8 * MIB);
		peer_event(peer, VIRTIO_TIDE_EV_RELIEF, 500000, VIRTIO_TIDE_PATH_RESERVE, used);
		break;
	case 2:
		peer_set_needs(peer, 96 * MIB);
		peer_event(peer, VIRTIO_TIDE_EV_QUIET, 0, 0, 0);
		break;
	}
	fleet->progress->events++;
}

static void run_fleet(struct progress *progress, const char *socket)
{
	struct itimerspec every = { .it_interval.tv_nsec = 1000000000 / EVENTS_A_SECOND, .it_value.tv_nsec = 1 };
	struct fleet *fleet = calloc(1, sizeof(*fleet));
	struct epoll_event events[256], tick = { .events = EPOLLIN, .data.u32 = PEERS };
	int epoll = epoll_create1(EPOLL_CLOEXEC),
	    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	uint64_t expired;

	if (!fleet || epoll < 0 || timer < 0)
		die("the VMs' process", errno);
	fleet->progress = progress;
	connect_all(fleet, socket, epoll);
	timerfd_settime(timer, 0, &every, NULL);
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &tick);
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 < PEERS)
				serve(fleet, events[i].data.u32);
			else if (read(timer, &expired, sizeof(expired)) == sizeof(expired))
				while (expired--)
					act(fleet);
		}
	}
}

/*
 * The measuring process
 */

static pid_t spawn_daemon(const char *dir)
{
	char config[256], log[256], path[512];
	const char *build = getenv("LAB_BUILD");
	FILE *file;
	pid_t pid;
	int fd;

	snprintf(config, sizeof(config), "%s/memtided.conf", dir);
	file = build ? fopen(config, "we") : NULL;
	if (!file)
		die(build ? config : "LAB_BUILD is not set: run this through ./lab", build ? errno : EINVAL);
	fprintf(file,
		"[daemon]\nbudget = %uM\nreserve = 1G\npolicy = fair\npolicy-path = %s/bpf\nvmm-socket = "
		"%s/vmm.sock\n"
		"control-socket = %s/control.sock\n[default]\nfloor = 64M\n",
		BUDGET_MIB, build, dir, dir);
	fclose(file);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "%s/vmm/daemon/memtided", build);
	snprintf(log, sizeof(log), "%s/memtided.log", getenv("LAB_LOGS") ? getenv("LAB_LOGS") : dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dup2(fd, 2);
	execl(path, "memtided", "--config", config, "--same-process", NULL);
	_exit(127);
}

static pid_t spawn_fleet(struct progress *progress, const char *dir)
{
	char socket[256];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(socket, sizeof(socket), "%s/vmm.sock", dir);
	run_fleet(progress, socket);
	_exit(1);
}

static double cpu_seconds(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file ||
	    fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		die("memtided is gone", ESRCH);
	fclose(file);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Until all VMs are managed and nothing more is charged than there is. */
static void settle(const char *dir, const struct progress *progress)
{
	for (int i = 0; i < SETTLE_MS / 100; i++) {
		if (progress->connected == PEERS && rpc_status_number(dir, "nr_vms") == PEERS &&
		    rpc_status_number(dir, "deficit") == 0)
			return;
		poll(NULL, 0, 100);
	}
	die("the VMs do not settle", ETIMEDOUT);
}

static void measure(struct report *report, const char *dir, pid_t daemon, struct progress *progress)
{
	uint64_t begin, events;
	double cpu, seconds, p99;
	size_t n;

	settle(dir, progress);
	events = progress->events;
	begin = peer_now_ns();
	cpu = cpu_seconds(daemon);
	progress->measure = true;
	poll(NULL, 0, MEASURE_S * 1000);
	progress->measure = false;
	cpu = cpu_seconds(daemon) - cpu;
	seconds = (double)(peer_now_ns() - begin) / 1e9;
	events = progress->events - events;
	fprintf(stderr, "controller: %.0f events a second for %.1f s, %" PRIu64 " claims answered\n",
		(double)events / seconds, seconds, progress->answers_ns.count);
	report_set(report, "cpu_pct", "%", 100 * cpu / seconds, events);
	rpc_decide(dir, &p99, &n);
	report_set(report, "decide_p99_ms", "ms", p99, n);
	report_set(report, "answer_p50_ms", "ms", memtide_histogram_at(&progress->answers_ns, 500) / 1e6,
		   progress->answers_ns.count);
	report_set(report, "events_per_s", "1/s", (double)events / seconds, events);
}

static void end(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

static void measure_daemon(struct report *report)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char dir[] = "/tmp/memtide-bench-XXXXXX", command[64];
	pid_t daemon, fleet;

	if (progress == MAP_FAILED || !mkdtemp(dir))
		die("temporary folder", errno);
	daemon = spawn_daemon(dir);
	if (rpc_wait(dir, 5000) < 0)
		die("memtided does not come up", ETIMEDOUT);
	fleet = spawn_fleet(progress, dir);
	measure(report, dir, daemon, progress);
	kill(fleet, SIGKILL);
	waitpid(fleet, NULL, 0);
	end(daemon);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "controller: %s is left behind\n", dir);
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("open files", errno);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 8 * PEERS)
		die("too few open files are allowed", EMFILE);
}

int main(int argc, char **argv)
{
	struct bench_options options;
	struct report *report = report_new("controller");

	bench_parse(argc, argv, 1, &options);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	measure_daemon(report);
	measure_rounds(report);
	report_expect(report, "cpu_pct", false, 5);
	report_expect(report, "decide_p99_ms", false, 1);
	report_expect(report, "round_10k_ms", false, 10);
	return report_finish(report, options.json_file) ? 3 : 0;
}
