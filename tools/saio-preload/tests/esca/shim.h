/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What servers patched for ESCA or for the original SAIO are linked with. */
#pragma once

long esca_init(void);
void init_worker(int number);
long batch_start(int events);
long batch_flush(void);
void toggle_region(void);

/* How often one of them was called here, and not in a library that was preloaded. */
extern int shim_calls;
