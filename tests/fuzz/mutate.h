/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Documents that have been tampered with: each is a valid one and a few mutations, which follow from a seed.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Grows as it must; not terminated. */
struct document {
	char *text;
	size_t size;
	size_t room;
};

void document_set(struct document *document, const char *text, size_t size);
void document_free(struct document *document);

/* What documents try to have opened: a file, and something behind an address. */
struct bait {
	const char *file;
	const char *address;
};

/**
 * mutate() - change a document in one way out of many
 * @seed: moves on
 *
 * At most one in a few hundred gets megabytes long.
 */
void mutate(struct document *document, const struct bait *bait, uint64_t *seed);

#endif /* TESTS_FUZZ_MUTATE_H */
