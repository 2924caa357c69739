// SPDX-License-Identifier: GPL-2.0-or-later
/* See filled.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../guest/load.h"
#include "filled.h"
#include "frames.h"

#define WORDS	(FRAME_SIZE / sizeof(uint64_t))

struct word {
	uint64_t word;
	unsigned int page;
};

static int compare(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	return x->word < y->word ? -1 : x->word > y->word;
}

static bool is_zero_but_first(int memory, uint64_t address)
{
	uint64_t page[WORDS];

	if (pread(memory, page, sizeof(page), (off_t)address) != sizeof(page))
		return false;
	for (unsigned int i = 1; i < WORDS; i++) {
		if (page[i])
			return false;
	}
	return true;
}

static int search(int memory, const struct frame *frames, size_t nr, const struct word *words, unsigned int pages,
		  uint64_t *ret_addresses)
{
	int found = 0;

	for (size_t i = 0; i < nr; i++) {
		struct word key = { .word = 0 };
		const struct word *word;

		if (pread(memory, &key.word, sizeof(key.word), (off_t)frames[i].address) != sizeof(key.word))
			continue;
		word = bsearch(&key, words, pages, sizeof(*words), compare);
		if (!word || ret_addresses[word->page] || !is_zero_but_first(memory, frames[i].address))
			continue;
		ret_addresses[word->page] = frames[i].address;
		found++;
	}
	return found;
}

int filled_find(pid_t pid, unsigned int pages, uint64_t *ret_addresses)
{
	static struct word words[FILLED_MAX];
	struct frame *frames;
	char path[64];
	size_t nr;
	int memory, r;

	if (pages > FILLED_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < pages; i++) {
		words[i] = (struct word){ fill_word(0, i), i };
		ret_addresses[i] = 0;
	}
	qsort(words, pages, sizeof(*words), compare);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (memory < 0)
		return -errno;
	r = frames_anonymous(pid, &frames, &nr);
	if (!r) {
		r = search(memory, frames, nr, words, pages, ret_addresses);
		free(frames);
	}
	close(memory);
	return r;
}
