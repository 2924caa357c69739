/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Knobs and self-description of a policy.  Both end up in the object's BTF, where the loader finds them without
 * knowing the policy: see memtide_policy_open() in vmm/lib/policy.h.
 */
#ifndef TIDE_KNOB_H
#define TIDE_KNOB_H

/*
 * KNOB - a value that is set before the policy is loaded and is a constant after that
 * @type: bool, or one of __u8 to __u64 and __s8 to __s64
 * @name: with its unit, e.g. idle_ms
 * @value: the default
 * @low: the least that may be set; a literal number, not an expression
 * @high: the most that may be set; the same
 * @text: one line that says what more or less of it does
 */
#define KNOB(type, name, value, low, high, text)			\
	const volatile type name					\
	__attribute__((btf_decl_tag("knob:min:" #low)))			\
	__attribute__((btf_decl_tag("knob:max:" #high)))		\
	__attribute__((btf_decl_tag("knob:about:" text))) = value

/* POLICY_ABOUT - one line on the policy, in front of its main program */
#define POLICY_ABOUT(text)	__attribute__((btf_decl_tag("policy:about:" text)))

#endif /* TIDE_KNOB_H */
