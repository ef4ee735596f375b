// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A thread of the pool: what `pool/worker.rs` does, in its order.

use super::{
    threads::{Pool, State},
    world::{step, World},
};
use std::rc::Rc;

/// Looks for work in vain before a thread has enough.
const LOOKS: u32 = 3;

pub async fn run(w: Rc<World>, me: usize) {
    let pool = &w.pool;
    loop {
        pool.wait(&w, me).await;
        if serve(&w, me).await {
            return;
        }
        pool.wake_who_ends().await;
    }
}

async fn serve(w: &World, me: usize) -> bool {
    let pool = &w.pool;
    let mut looking = true;
    let mut looks = 0;
    loop {
        if pool.ends(w).await {
            turn(pool, me, &mut looking, false).await;
            step().await;
            let _errand = pool.errand();
            pool.threads.gone();
            pool.set(me, State::Gone);
            step().await;
            // Others may have relied on this thread.
            if pool.rings.any() {
                pool.wake().await;
            }
            return true;
        }
        step().await;
        let workers = pool.workers.get();
        if pool.threads.sleep_if_over(workers, looking) {
            pool.set(me, State::Asleep);
            return false;
        }
        pool.checked.borrow_mut()[me] = true;
        if let Some(ring) = pool.next(w).await {
            turn(pool, me, &mut looking, false).await;
            turn_of(w, me, ring).await;
            looks = 0;
            continue;
        }
        if !looking {
            if turn(pool, me, &mut looking, true).await {
                continue;
            }
            if sleep_beside(pool, me, false).await {
                return false;
            }
        } else {
            looks += 1;
            if looks % LOOKS == 0 || w.chance(4) == 3 {
                if sleep_beside(pool, me, true).await {
                    if pool.any_has_work(w).await {
                        pool.wake().await;
                    }
                    return false;
                }
                if pool.doze(w).await {
                    step().await;
                    let _errand = pool.errand();
                    pool.threads.sleep(true);
                    pool.set(me, State::Asleep);
                    step().await;
                    if pool.rings.any() {
                        pool.wake().await;
                    }
                    return false;
                }
            }
        }
    }
}

/// Begins or ends to look for work.
async fn turn(pool: &Pool, me: usize, now: &mut bool, looking: bool) -> bool {
    if *now == looking {
        return true;
    }
    step().await;
    if !looking {
        pool.threads.found();
    } else if !pool.threads.look() {
        return false;
    }
    *now = looking;
    pool.set(me, State::Up { looking });
    true
}

async fn sleep_beside(pool: &Pool, me: usize, looking: bool) -> bool {
    step().await;
    let sleeps = pool.threads.sleep_beside(looking);
    if sleeps {
        pool.set(me, State::Asleep);
    }
    sleeps
}

async fn turn_of(w: &World, me: usize, ring: usize) {
    let pool = &w.pool;
    step().await;
    if pool.threads.spare(pool.workers.get()) && pool.has_more(w, ring).await {
        pool.wake().await;
    }
    w.rings[ring].serve(w, me).await;
}
