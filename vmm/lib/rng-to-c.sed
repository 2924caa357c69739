# SPDX-License-Identifier: GPL-2.0-or-later
# The schema as the lines of a C string.
s/\\/\\\\/g
s/"/\\"/g
s/.*/"&\\n"/
