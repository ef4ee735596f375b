// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines for scripts: one object each, told apart by `type`. docs/observing.md explains the fields.

use saio::flow::FlowRef;
use serde_json::{json, Value};

use super::call;
use super::event::{Event, OnRing};
use super::pending::Started;
use super::Finished;

/// Version of the output; changes when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// The first line.
pub fn start() -> String {
    line(&json!({"type": "start", "schema": SCHEMA}))
}

/// An entry with its result.
pub fn finished(finished: &Finished) -> String {
    let complete = finished.complete;
    let entry = finished.started.map(|started| &started.entry);
    line(&json!({
        "type": "call",
        "time_us": finished.time_us,
        "owner": finished.owner,
        "ring": finished.ring,
        "call": call::name(complete.nr),
        "nr": complete.nr,
        "text": entry.map(|entry| call::text(entry.nr, entry.flow, &entry.args)),
        "args": entry.map(|entry| entry.args.map(hex)),
        "flags": entry.map(|entry| entry.flags),
        "flow": complete.flow.map(flow),
        "user_data": hex(complete.user_data),
        "result": complete.result,
        "error": call::error(complete.result),
        "dispatched": entry.map(|entry| entry.place.to_string()),
        "completed": complete.place.to_string(),
        "cpu": finished.cpu,
        "duration_us": finished.duration_us(),
    }))
}

/// An entry whose result was not seen.
pub fn unfinished(started: &Started) -> String {
    let entry = &started.entry;
    line(&json!({
        "type": "unfinished",
        "time_us": started.time_us,
        "owner": started.owner,
        "ring": started.ring,
        "call": call::name(entry.nr),
        "nr": entry.nr,
        "text": call::text(entry.nr, entry.flow, &entry.args),
        "args": entry.args.map(hex),
        "flags": entry.flags,
        "flow": entry.flow.map(flow),
        "user_data": hex(entry.user_data),
        "dispatched": entry.place.to_string(),
    }))
}

/// Everything else that has a line of its own.
pub fn event(time_us: u64, event: &Event) -> Option<String> {
    let mut object = match event {
        Event::Ring { ring, owner, what } => {
            let mut object = on_ring(what)?;
            object["ring"] = json!(ring);
            object["owner"] = json!(owner);
            object
        }
        Event::Thread { what, pool, thread } => {
            json!({"type": "thread", "what": what, "pool": pool, "thread": thread})
        }
        Event::Fork { .. } => return None,
    };
    object["time_us"] = json!(time_us);
    Some(line(&object))
}

/// Events that the kernel had no room for.
pub fn lost(count: Option<u64>) -> String {
    line(&json!({"type": "lost", "events": count}))
}

fn on_ring(what: &OnRing) -> Option<Value> {
    match what {
        OnRing::Submit {
            to_submit,
            published,
        } => Some(json!({"type": "submit", "to_submit": to_submit, "published": published})),
        OnRing::Park { flow: of, left } => {
            Some(json!({"type": "park", "flow": flow(*of), "left_bytes": left}))
        }
        OnRing::Steal {
            flow: of,
            pool,
            from,
            to,
        } => {
            Some(json!({"type": "steal", "flow": flow(*of), "pool": pool, "from": from, "to": to}))
        }
        // These make one line when they meet.
        OnRing::Dispatch(_) | OnRing::Complete(_) => None,
    }
}

fn flow(flow: FlowRef) -> Value {
    json!({"index": flow.index(), "generation": flow.raw() >> 16})
}

/// Numbers of 64 bits do not survive every reader of JSON.
fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}
