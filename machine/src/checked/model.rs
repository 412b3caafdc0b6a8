//! One exploration: its limits, the threads of an execution, waits without end, and what a panic in
//! a model means. Guards that a limit is never taken for a failure: it is a panic with a payload of
//! its own type.

use super::config::Config;
use super::engine::{Engine, LoomEngine, ShuttleEngine};
use super::history;
use crate::Failure;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Mutex, Once};

thread_local! {
    /// While a model runs: its panics are reported by the checker and not printed by the hook.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Executions of the last exploration.
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
    /// The first panic's message.
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
    /// By CPU: its waits in a row, and how often other CPUs had written when it last waited.
    static WAITS: RefCell<Vec<(u32, usize)>> = const { RefCell::new(Vec::new()) };
}

/// The payload of a panic that ends an exploration at a limit; the text names the limit.
struct Limit(String);

/// The panic's message. None: a panic for another purpose, such as to end a coroutine.
fn text(payload: &(dyn Any + Send)) -> Option<String> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).map(Into::into)
}

/// Installs a panic hook that keeps the first message. Both explorers install hooks on first use;
/// this one goes on top of theirs.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let trivial = Config { executions: 1, ..Config::bounded(0, 0) };
        LoomEngine::explore(&trivial, || ());
        ShuttleEngine::explore(&trivial, || ());
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                return previous(info);
            }
            if let Some(message) = text(info.payload()) {
                FIRST.with_borrow_mut(|first| {
                    first.get_or_insert(message);
                });
            }
        }));
    });
}

/// Executions of this thread's last exploration, however it ended.
pub fn last_executions() -> u64 {
    EXECUTIONS.get()
}

/// Explores `model`; returns how many executions there were.
pub(super) fn explore<E: Engine>(
    config: &Config,
    model: impl Fn() + Send + Sync + 'static,
) -> Result<u64, Failure> {
    hook();
    FIRST.set(None);
    EXECUTIONS.set(0);
    let limits = config.clone();
    let body = move || {
        let so_far = EXECUTIONS.get();
        if so_far >= limits.executions {
            panic_any(Limit(format!("{so_far} executions, and more to come")));
        }
        EXECUTIONS.set(so_far + 1);
        history::clear(limits.workers);
        WAITS.set(vec![(0, 0); limits.workers + 1]);
        model();
    };
    QUIET.set(true);
    let ended = catch_unwind(AssertUnwindSafe(|| E::explore(config, body)));
    QUIET.set(false);
    ended.map(|()| EXECUTIONS.get()).map_err(|payload| meaning(payload.as_ref(), config))
}

/// The failure that a panic which ended an exploration stands for.
fn meaning(payload: &(dyn Any + Send), config: &Config) -> Failure {
    if let Some(Limit(why)) = payload.downcast_ref() {
        return Failure::Inconclusive(why.clone());
    }
    let message = FIRST.take().unwrap_or_else(|| "a panic without a message".into());
    let too_long = ["Model exceeded maximum number of branches", "exceeded max_steps"];
    if too_long.iter().any(|limit| message.starts_with(limit)) {
        let steps = config.steps;
        return Failure::Inconclusive(format!("an execution of more than {steps} steps"));
    }
    let message = match message.split_once([';', '!']) {
        Some(("deadlock", _)) => "deadlock: every CPU waits for a lock".into(),
        _ if message.starts_with("Causality violation") => history::racing(),
        _ => message,
    };
    history::keep(message.clone());
    Failure::Panicked(message)
}

/// Runs `workers` threads made by `body(id)` and waits for all.
pub(super) fn fork_join<E: Engine, F: FnOnce() + Send + 'static>(
    workers: usize,
    body: impl Fn(usize) -> F,
) {
    history::started();
    let ended = Arc::new(Mutex::new(0));
    for id in 0..workers {
        let (body, ended) = (body(id), ended.clone());
        let parent = E::current();
        E::spawn(move || {
            history::set_me(id);
            body();
            *ended.lock().expect("no panic while held") += 1;
            history::as_me(|| E::unpark(&parent));
        });
    }
    while *ended.lock().expect("no panic while held") < workers {
        history::as_me(E::park);
    }
}

/// Lets the other CPUs run. A CPU that waits again and again while no other CPU writes anything will
/// wait for ever: that is a failure. Others that only wait too change nothing.
pub(super) fn wait<E: Engine>() {
    let me = history::me();
    history::as_me(E::yield_now);
    let others = history::writes_of_others(me);
    let waits = WAITS.with_borrow_mut(|all| {
        let (waits, seen) = all[me];
        all[me] = (if seen == others { waits + 1 } else { 0 }, others);
        all[me].0
    });
    if waits > E::PATIENCE {
        let stuck = history::waiting_for();
        panic!("no progress: {stuck}, and no other CPU is left to change it");
    }
}
