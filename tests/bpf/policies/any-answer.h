/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random answers: most are within what an operation may say, and one in four is anything. */
#ifndef ANY_ANSWER_H
#define ANY_ANSWER_H

/* From 0 to @most, or any number at all. */
static inline int any_answer(__u32 most)
{
	__u32 r = bpf_get_prandom_u32();

	return r % 4 ? r / 4 % (most + 1) : bpf_get_prandom_u32();
}

#endif /* ANY_ANSWER_H */
