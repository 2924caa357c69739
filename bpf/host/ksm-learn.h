/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ksm-tenant learns: of each stretch of memory how often it is worth a look, and of each round of looks
 * when the next one is due.  Plain functions on plain values: no maps, no clock, so that tests can run them on
 * literals.
 *
 * Whoever includes this has __u64 and its like, and bool, already.
 */
#ifndef KSM_LEARN_H
#define KSM_LEARN_H

/*
 * Nothing is said of a stretch before so many looks: ksmd notes a page's checksum at the first, and merges it at
 * the second if it has not changed.
 */
#define LEARN_LOOKS	2
/*
 * How much further the distance of looks may grow where merges break: eight times.  What is missed elsewhere is
 * memory not saved for a while; what is tried here costs a copy for each page, and has done so before.
 */
#define LEARN_BREAKS	3
/*
 * Merges break where more than one of so many is gone since the last look.  A few pages always are, where others
 * last for good.
 */
#define LEARN_WEAR	16
/* Pages that a look at 512 has to merge to be worth another one soon. */
#define LEARN_GAIN	8
/*
 * After merges broke, new ones mean nothing for so many looks: what is written once a minute is merged once a
 * minute, whenever it rests for longer than the distance of two looks.
 */
#define LEARN_BURNT	2
/* As long as more than one of so many stretches is new, CPU time does not count. */
#define LEARN_NEW_PART	16

/**
 * struct learn_range - one stretch of memory
 * @looked: round of the last look
 * @held: pages that are merged, as far as is known
 * @made: merges, since it was last judged
 * @broken: merges found broken, since it was last judged
 * @unchanged: pages that have not changed, in the look that is going on
 * @looks: so far, up to LEARN_LOOKS
 * @exponent: it is looked at in rounds whose number is a multiple of two to the power of this
 * @burnt: looks for which new merges mean nothing
 * @judged: since the last look
 */
struct learn_range {
	__u64 looked;
	__u32 held;
	__u32 made;
	__u32 broken;
	__u32 unchanged;
	__u32 looks;
	__u32 exponent;
	__u32 burnt;
	bool judged;
};

/**
 * struct learn_round - one round of looks
 * @number: from 1
 * @started_ns: when, any clock that all rounds share
 * @cpu_ns: CPU time that it took
 * @seen: stretches that were come by, whether looked at or not
 * @fresh: of these, the ones that have not had their first LEARN_LOOKS before
 * @made: merges
 * @broken: merges found broken
 */
struct learn_round {
	__u64 number;
	__u64 started_ns;
	__u64 cpu_ns;
	__u64 seen;
	__u64 fresh;
	__u64 made;
	__u64 broken;
};

static inline bool learn_breaks(const struct learn_range *range)
{
	return 2 * range->broken > range->made && LEARN_WEAR * range->broken > range->held + range->broken;
}

static inline bool learn_gains(const struct learn_range *range)
{
	return range->made >= LEARN_GAIN && range->made >= 2 * range->broken;
}

/* What the last look at @range has shown.  @patience: the largest exponent where nothing breaks. */
static inline void learn_judge(struct learn_range *range, __u32 patience)
{
	__u32 most = patience + LEARN_BREAKS;

	if (learn_breaks(range)) {
		/* at once as far as where nothing merges, and further each time */
		range->exponent = range->exponent < patience ? patience : range->exponent + 2;
		if (range->exponent > most)
			range->exponent = most;
		range->burnt = LEARN_BURNT;
	} else if (learn_gains(range) && !range->burnt) {
		range->exponent /= 2;
	} else {
		range->burnt -= range->burnt > 0;
		if (range->exponent > patience)
			range->exponent--;
		else if (range->exponent < patience && range->looks >= LEARN_LOOKS)
			range->exponent++;
	}
	range->made = 0;
	range->broken = 0;
	range->judged = true;
}

/*
 * Whether @range is due in round @number: at the next multiple of two to the power of its exponent that is more
 * than half of that away.  Since these are multiples, and not distances from the last look, stretches with
 * different exponents are looked at in the same rounds again and again: pages that are equal have to be.
 */
static inline bool learn_is_due(const struct learn_range *range, __u64 number)
{
	__u64 half = (1ULL << range->exponent) / 2;

	return !range->looks || number >> range->exponent > (range->looked + half) >> range->exponent;
}

static inline void learn_look(struct learn_range *range, __u64 number)
{
	range->looked = number;
	range->judged = false;
	range->unchanged = 0;
	if (range->looks < LEARN_LOOKS)
		range->looks++;
}

/**
 * learn_come_by - ksmd comes to a stretch of memory, or to another part of it
 * @round: the one that is going on
 * @range: the stretch
 * @patience: the largest exponent where nothing breaks
 *
 * Return: whether to look at it.
 */
static inline bool learn_come_by(struct learn_round *round, struct learn_range *range, __u32 patience)
{
	if (range->looks && range->looked == round->number)
		return true;
	if (range->looks && !range->judged)
		learn_judge(range, patience);
	round->seen++;
	if (range->looks < LEARN_LOOKS)
		round->fresh++;
	if (!learn_is_due(range, round->number))
		return false;
	learn_look(range, round->number);
	return true;
}

/* Whether @round has found so much that the next one should not wait: memory is new, or merges all over. */
static inline bool learn_goes_on(const struct learn_round *round)
{
	return round->fresh * LEARN_NEW_PART > round->seen ||
		(round->made > 2 * round->broken && round->made > round->seen);
}

/**
 * learn_next - what comes after a round
 * @round: the one that is over; on return the next one, which has not begun
 * @round_ns: from one round to the next, at least
 * @busy_percent: of the time from this one to the next, the CPU time that it may have taken; 1 to 100
 *
 * Return: when the next round is due, by the clock of @started_ns.
 */
static inline __u64 learn_next(struct learn_round *round, __u64 round_ns, __u32 busy_percent)
{
	__u64 busy_ns = learn_goes_on(round) ? 0 : round->cpu_ns * 100 / busy_percent;
	__u64 due_ns = round->started_ns + (busy_ns > round_ns ? busy_ns : round_ns);

	*round = (struct learn_round) { .number = round->number + 1 };
	return due_ns;
}

#endif /* KSM_LEARN_H */
