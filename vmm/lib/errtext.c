// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words for errors.
 */
#include <stdarg.h>
#include <stdio.h>

#include "errtext.h"

int memtide_errtext_set(struct memtide_errtext *errtext, int error, const char *format, ...)
{
	va_list args;

	if (!errtext)
		return error;
	va_start(args, format);
	vsnprintf(errtext->text, sizeof(errtext->text), format, args);
	va_end(args);
	return error;
}
