// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Domains that have been tampered with: an error in clear words or a valid policy, never a crash, a long time, a
 * word to standard error, or a look at what a document names.
 *
 * FUZZ_COUNT documents (10,000) from FUZZ_SEED (1) on; document N is that of seed N, so a failure comes again with
 * its number as FUZZ_SEED and a FUZZ_COUNT of 1.  What fails is kept in $LAB_LOGS, or in /tmp.
 */
#include "../unit/unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include "domain.h"
#include "ledger.h"
#include "mutate.h"

/* Measured with sanitizers: 1.5 s and 344 MiB, for 4 MiB of the shortest elements.  Other machines are slower. */
#define CPU_MS_MAX	5000
#define RSS_MIB_MAX	1024
#define CANARY		"the canary has been read"
#define BASES_MAX	64

struct fuzz {
	struct document bases[BASES_MAX];
	size_t nr_bases;
	char canary[64];
	char address[64];
	struct bait bait;
	int inotify;
	int listener;
	unsigned long nr_said;		/* messages that libxml2 has for the whole process */
	unsigned long seed;		/* of the document at hand */
	struct document document;
	unsigned long nr_valid;
	unsigned long nr_refused;
	double slowest_ms;
	unsigned long slowest;
};

static struct fuzz fuzz;

/* Called by the sanitizers when they end the process. */
void __sanitizer_set_death_callback(void (*callback)(void));
const char *__asan_default_options(void);

/* A small quarantine, so that memory is that of the parser and not of the sanitizer. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16";
}

static void keep_document(void)
{
	const char *folder = getenv("LAB_LOGS");
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%.200s/fuzz-domain-%lu.xml", folder && *folder ? folder : "/tmp", fuzz.seed);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, fuzz.document.text, fuzz.document.size) != (ssize_t)fuzz.document.size)
		fprintf(stderr, "cannot keep %s\n", path);
	else
		fprintf(stderr, "FUZZ_SEED=%lu FUZZ_COUNT=1, kept in %s\n", fuzz.seed, path);
	if (fd >= 0)
		close(fd);
}

/* Leaks are reported after the last test, when there is no document any more. */
static void on_death(void)
{
	if (!fuzz.document.text)
		return;
	keep_document();
	unlink(fuzz.canary);
}

#define FAIL(...) do { keep_document(); fail_msg(__VA_ARGS__); } while (0)

/*
 * Bases: the examples, and their policies alone, with and without the namespace
 */

static void add_base(const char *text, size_t size)
{
	if (fuzz.nr_bases == BASES_MAX)
		fail_msg("more examples than there is room for: raise BASES_MAX");
	document_set(&fuzz.bases[fuzz.nr_bases++], text, size);
}

static void add_policy_of(const char *text)
{
	static const char end[] = "</memtide:policy>";
	const char *from = strstr(text, "<memtide:policy"), *to = strstr(text, end);
	char bare[8192], *out = bare;

	if (!from || !to)
		fail_msg("an example has no policy: %s", text);
	to += strlen(end);
	add_base(from, to - from);
	for (const char *in = from; in < to && out < bare + sizeof(bare); in++) {
		if (!strncmp(in, "memtide:", 8) && in[-1] != ':')
			in += 8;
		*out++ = *in;
	}
	add_base(bare, out - bare);
}

static void read_bases(void)
{
	static const char folder[] = SOURCE_ROOT "/libvirt-hooks/examples";
	DIR *examples = opendir(folder);
	struct dirent *entry;
	char path[512], text[16384];
	FILE *file;
	size_t n;

	if (!examples)
		fail_msg("%s: %s", folder, strerror(errno));
	while ((entry = readdir(examples))) {
		if (!strstr(entry->d_name, ".xml"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		file = fopen(path, "r");
		if (!file)
			fail_msg("%s: %s", path, strerror(errno));
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
		text[n] = '\0';
		add_base(text, n);
		add_policy_of(text);
	}
	closedir(examples);
}

/*
 * Bait: a file that is watched, and an address where somebody listens
 */

static void set_canary(void)
{
	int fd;

	strcpy(fuzz.canary, "/tmp/fuzz-canary-XXXXXX");
	fd = mkstemp(fuzz.canary);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, CANARY, strlen(CANARY)), strlen(CANARY));
	close(fd);
	fuzz.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	assert_true(inotify_add_watch(fuzz.inotify, fuzz.canary, IN_OPEN | IN_ACCESS) >= 0);
	fuzz.bait.file = fuzz.canary;
}

static void listen_somewhere(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	fuzz.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fuzz.listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fuzz.listener, 8), 0);
	assert_int_equal(getsockname(fuzz.listener, (struct sockaddr *)&address, &size), 0);
	snprintf(fuzz.address, sizeof(fuzz.address), "http://127.0.0.1:%d/domain.dtd", ntohs(address.sin_port));
	fuzz.bait.address = fuzz.address;
}

static bool was_opened(void)
{
	char events[4096];

	return read(fuzz.inotify, events, sizeof(events)) > 0;
}

static bool was_called(void)
{
	int fd = accept(fuzz.listener, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * What has to hold of a result
 */

static void check_words(int r, const char *words)
{
	const unsigned char *text = (const unsigned char *)words;

	if (r != -EINVAL && r != -EFBIG)
		FAIL("error %d (%s)", r, words);
	if (strncmp(words, "line ", 5) && strncmp(words, "the document", 12))
		FAIL("no line in \"%s\"", words);
	if (strstr(words, "against the schema"))
		FAIL("reader and schema do not agree: %s", words);
	if (strstr(words, CANARY))
		FAIL("a file was read: %s", words);
	if (strlen(words) >= MEMTIDE_ERRTEXT_SIZE - 1)
		FAIL("the message does not fit: %s", words);
	if (!xmlCheckUTF8(text))
		FAIL("a message that is not UTF-8");
	for (; *text; text++)
		if (*text < ' ' || *text == 0x7f)
			FAIL("control characters in \"%s\"", words);
}

static void check_value(const struct memtide_domain_value *value, uint64_t most)
{
	if (value->value == MEMTIDE_DOMAIN_UNSET ? value->line != 0 : value->value > most || !value->line)
		FAIL("a value of %llu in line %u", (unsigned long long)value->value, value->line);
}

static void check_policy(const struct memtide_domain_policy *policy)
{
	check_value(&policy->floor, MEMTIDE_LEDGER_BYTES);
	check_value(&policy->maximum, MEMTIDE_LEDGER_BYTES);
	check_value(&policy->shares, MEMTIDE_LEDGER_SHARES);
	if (!policy->line || (policy->floor.line && policy->floor.value > policy->maximum.value) ||
	    !policy->maximum.value || !policy->shares.value || policy->headroom > MEMTIDE_LEDGER_BYTES ||
	    policy->ksm > MEMTIDE_KSM_TENANT || policy->thp > MEMTIDE_THP_PRESSURE ||
	    policy->donate > MEMTIDE_DONATE_LAST || (policy->ksm == MEMTIDE_KSM_TENANT && !*policy->tenant) ||
	    strnlen(policy->tenant, MEMTIDE_DOMAIN_NAME) == MEMTIDE_DOMAIN_NAME ||
	    policy->nr_hosts > MEMTIDE_DOMAIN_HOSTS || policy->nr_knobs > MEMTIDE_DOMAIN_KNOBS)
		FAIL("a policy that cannot be");
	for (size_t i = 0; i < policy->nr_hosts; i++)
		if (!*policy->hosts[i].policy || strpbrk(policy->hosts[i].policy, "/ '\""))
			FAIL("a host policy called \"%.64s\"", policy->hosts[i].policy);
	for (size_t i = 0; i < policy->nr_knobs; i++)
		if (policy->knobs[i].host >= policy->nr_hosts || !*policy->knobs[i].name ||
		    !*policy->knobs[i].value)
			FAIL("a knob of no host policy, without name or value");
}

static void check_result(int r, const struct memtide_errtext *errtext)
{
	if (r)
		check_words(r, errtext->text);
	fuzz.nr_valid += !r;
	fuzz.nr_refused += r != 0;
}

static void check_document(void)
{
	static struct memtide_domain domain, domain_before;
	static struct memtide_domain_policy policy, policy_before;
	struct memtide_errtext errtext = {};
	int r;

	memset(&domain, 0x55, sizeof(domain));
	memset(&policy, 0x55, sizeof(policy));
	domain_before = domain;
	policy_before = policy;
	r = memtide_domain_policy_read(fuzz.document.text, fuzz.document.size, &policy, &errtext);
	check_result(r, &errtext);
	if (!r)
		check_policy(&policy);
	else if (memcmp(&policy, &policy_before, sizeof(policy)))
		FAIL("a failure that has touched its output");
	r = memtide_domain_read(fuzz.document.text, fuzz.document.size, &domain, &errtext);
	check_result(r, &errtext);
	if (r && memcmp(&domain, &domain_before, sizeof(domain)))
		FAIL("a failure that has touched its output");
	if (r || !domain.has_policy)
		return;
	check_policy(&domain.policy);
	r = memtide_domain_check(&domain.policy, &domain.limits, &errtext);
	if (r)
		check_words(r, errtext.text);
}

static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void run_one(unsigned long number)
{
	uint64_t seed = number;
	double before, took;
	const struct document *base = &fuzz.bases[unit_below(&seed, fuzz.nr_bases)];

	fuzz.seed = number;
	document_set(&fuzz.document, base->text, base->size);
	for (uint64_t n = 1 + unit_below(&seed, 4); n; n--)
		mutate(&fuzz.document, &fuzz.bait, &seed);
	before = cpu_ms();
	check_document();
	took = cpu_ms() - before;
	if (took > fuzz.slowest_ms) {
		fuzz.slowest_ms = took;
		fuzz.slowest = number;
	}
	if (took > CPU_MS_MAX)
		FAIL("%.0f ms of CPU time, the limit is %d", took, CPU_MS_MAX);
	if (fuzz.nr_said)
		FAIL("libxml2 was given words for the whole process");
	if (was_opened())
		FAIL("the canary was opened");
	if (was_called())
		FAIL("somebody called %s", fuzz.address);
}

/*
 * Tests
 */

/* The bases are valid, and what follows would see what it is to see. */
static void test_bait(void **state)
{
	char text[256];
	xmlDoc *doc;

	assert_false(was_opened());
	snprintf(text, sizeof(text), "<!DOCTYPE a [<!ENTITY h SYSTEM 'file://%s'>]><a>&h;</a>", fuzz.canary);
	doc = xmlReadMemory(text, strlen(text), NULL, NULL, XML_PARSE_NOENT);
	assert_true(was_opened());
	xmlFreeDoc(doc);
	doc = xmlReadMemory("<a>", 3, NULL, NULL, 0);
	assert_null(doc);
	assert_true(fuzz.nr_said > 0);
	fuzz.nr_said = 0;
	for (size_t i = 0; i < fuzz.nr_bases; i++) {
		document_set(&fuzz.document, fuzz.bases[i].text, fuzz.bases[i].size);
		fuzz.nr_valid = 0;
		check_document();
		assert_int_equal(fuzz.nr_valid, 1);
	}
	fuzz.nr_valid = 0;
	fuzz.nr_refused = 0;
}

static void test_mutations(void **state)
{
	unsigned long first = unit_count("FUZZ_SEED", 1), count = unit_count("FUZZ_COUNT", 10000);
	struct rusage usage;

	for (unsigned long i = 0; i < count; i++)
		run_one(first + i);
	getrusage(RUSAGE_SELF, &usage);
	print_message("# %lu documents from seed %lu on: %lu times read as policy or domain, %lu refused\n", count,
		      first, fuzz.nr_valid, fuzz.nr_refused);
	print_message("# slowest: %.0f ms of CPU time (seed %lu); %ld MiB resident at most\n", fuzz.slowest_ms,
		      fuzz.slowest, usage.ru_maxrss / 1024);
	assert_true(usage.ru_maxrss / 1024 < RSS_MIB_MAX);
	/* A generator of nothing but garbage would not get far into the parser. */
	if (count >= 1000)
		assert_true(fuzz.nr_valid > count / 20);
}

static void on_word(void *data, const char *format, ...)
{
	fuzz.nr_said++;
}

static int set_up(void **state)
{
	__sanitizer_set_death_callback(on_death);
	xmlSetGenericErrorFunc(NULL, on_word);
	set_canary();
	listen_somewhere();
	read_bases();
	return 0;
}

static int tear_down(void **state)
{
	for (size_t i = 0; i < fuzz.nr_bases; i++)
		document_free(&fuzz.bases[i]);
	document_free(&fuzz.document);
	unlink(fuzz.canary);
	close(fuzz.inotify);
	close(fuzz.listener);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bait),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
