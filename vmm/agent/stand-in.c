// SPDX-License-Identifier: GPL-2.0-or-later
#include "stand-in.h"

int stand_in_init(struct agent *agent)
{
	return 0;
}

void stand_in_fini(struct agent *agent)
{
}

void stand_in_want(struct agent_domain *domain)
{
}

void stand_in_gone(struct agent_domain *domain)
{
}

void stand_in_balloon_changed(struct agent_domain *domain, uint64_t kib)
{
}

void stand_in_rebooted(struct agent_domain *domain)
{
}
