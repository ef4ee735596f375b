/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Does nothing: without a preloaded library the server runs as if it had not been patched. */
#include "shim.h"

int shim_calls;

long esca_init(void)
{
	shim_calls++;
	return 0;
}

void init_worker(int number)
{
	(void)number;
	shim_calls++;
}

long batch_start(int events)
{
	(void)events;
	shim_calls++;
	return 0;
}

long batch_flush(void)
{
	shim_calls++;
	return 0;
}

void toggle_region(void)
{
	shim_calls++;
}
