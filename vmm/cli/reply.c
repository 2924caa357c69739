// SPDX-License-Identifier: GPL-2.0-or-later
/* See reply.h. */
#include "reply.h"

uint64_t reply_number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (json_is_real(value))
		return json_real_value(value) > 0 ? json_real_value(value) : 0;
	return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

const char *reply_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name)) ?: "";
}
