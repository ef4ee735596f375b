// SPDX-License-Identifier: GPL-2.0
/*
 * SAIO: kernel.saio_disabled and kernel.saio_group, which say who may make
 * rings. They mean what io_uring's do.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/init.h>
#include <linux/sysctl.h>
#include <linux/uidgid.h>
#include <linux/saio_glue.h>

static int saio_disabled __read_mostly;
/* The group, in the initial user namespace; negative: nobody's. */
static int saio_group __read_mostly = -1;

/**
 * saio_allowed - whether the current task may make a ring or a pool
 *
 * What exists goes on.
 */
bool saio_allowed(void)
{
	int disabled = READ_ONCE(saio_disabled);
	kgid_t group;

	if (likely(!disabled))
		return true;
	if (disabled == 2)
		return false;
	if (capable(CAP_SYS_ADMIN))
		return true;
	group = make_kgid(&init_user_ns, READ_ONCE(saio_group));
	return gid_valid(group) && in_group_p(group);
}

#ifdef CONFIG_SYSCTL
static struct ctl_table saio_sysctls[] = {
	{
		.procname	= "saio_disabled",
		.data		= &saio_disabled,
		.maxlen		= sizeof(saio_disabled),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_TWO,
	},
	{
		.procname	= "saio_group",
		.data		= &saio_group,
		.maxlen		= sizeof(saio_group),
		.mode		= 0644,
		.proc_handler	= proc_dointvec,
	},
};

static int __init saio_sysctl_init(void)
{
	register_sysctl_init("kernel", saio_sysctls);
	return 0;
}
late_initcall(saio_sysctl_init);
#endif
