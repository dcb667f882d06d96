//! Futures that answer requests, polled where they stand. wasm-bindgen's executor makes closures, microtasks and a promise for each that
//! has to wait, 20 µs together; one that waits for WebCrypto, as with every new token, is tied to the promise of that instead.

use crate::web;
use js_sys::{Array, Promise};
use std::cell::RefCell;
use std::future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

/// A future that answers a request.
struct Task {
    context: web::Context,
    answer: Pin<Box<dyn Future<Output = JsValue>>>,
}

/// What a promise has come to.
type Settled = Result<JsValue, JsValue>;

thread_local! {
    static TURN: RefCell<Turn> = const { RefCell::new(Turn::None) };
    /// The tasks that wait, each for a promise that knows its place.
    static WAITING: RefCell<Vec<Option<Task>>> = const { RefCell::new(Vec::new()) };
    static RESUME: Closure<dyn Fn(usize, bool, JsValue) -> JsValue> = Closure::new(resume);
}

/// What passes between a task and who polls it.
#[derive(Default)]
enum Turn {
    /// It is polled by another executor.
    #[default]
    None,
    /// It is polled here, and may leave a promise.
    Open,
    /// It waits for this.
    Awaited(Promise),
    /// It gets this.
    Settled(Settled),
}

/// Starts the task of a request: its outcome, or a promise of it. The platform is told to let it end.
pub(crate) fn start(context: &web::Context, task: impl Future<Output = JsValue> + 'static) -> JsValue {
    let context = context.clone();
    poll(Task { context, answer: Box::pin(task) }, Turn::Open)
}

/// What a promise comes to. For those that settle without waiting for anybody: a task is kept for as long.
pub(crate) async fn settled(promise: Promise) -> Settled {
    let is_ours = matches!(TURN.take(), Turn::Open);
    if !is_ours {
        return JsFuture::from(promise).await;
    }
    TURN.set(Turn::Awaited(promise));
    future::poll_fn(|_| match TURN.take() {
        Turn::Settled(settled) => {
            TURN.set(Turn::Open);
            Poll::Ready(settled)
        }
        other @ (Turn::None | Turn::Open | Turn::Awaited(_)) => {
            TURN.set(other);
            Poll::Pending
        }
    })
    .await
}

fn poll(mut task: Task, turn: Turn) -> JsValue {
    TURN.set(turn);
    let polled = task.answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    match (polled, TURN.take()) {
        // Most requests need to wait for nothing before they go on: then there is no promise of ours.
        (Poll::Ready(outcome), _) => outcome,
        (Poll::Pending, Turn::Awaited(promise)) => {
            let place = WAITING.with_borrow_mut(|waiting| {
                let place = waiting.iter().position(Option::is_none).unwrap_or(waiting.len());
                match waiting.get_mut(place) {
                    Some(free) => *free = Some(task),
                    None => waiting.push(Some(task)),
                }
                place
            });
            RESUME.with(|resume| web::after(&promise, resume, place)).into()
        }
        (Poll::Pending, Turn::None | Turn::Open | Turn::Settled(_)) => {
            // In an array, so that it is over before what it answers with, which may be the origin's promise.
            let over = future_to_promise(async move { Ok(Array::of1(&task.answer.await).into()) });
            // If the client leaves, it is done and told all the same; the platform would let it lie, and its memory with it.
            task.context.wait_until(&over);
            web::only(&over).into()
        }
    }
}

/// Goes on with the task at a place.
fn resume(place: usize, is_fulfilled: bool, value: JsValue) -> JsValue {
    let task = WAITING.with_borrow_mut(|waiting| waiting.get_mut(place).and_then(Option::take));
    let settled = if is_fulfilled { Ok(value) } else { Err(value) };
    task.map_or(JsValue::UNDEFINED, |task| poll(task, Turn::Settled(settled)))
}
