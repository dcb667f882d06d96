//! One call.

use crate::gate::{self, Gate};
use doorward_effects::{Gate as _, Passage, SharedGate};
use doorward_host::{Action, Context, HttpContext};
use std::cell::RefMut;

/// The HTTP context of one call.
pub(crate) struct Http {
    id: u32,
    /// `None` if no configuration was accepted: every call is refused.
    gate: SharedGate<Gate>,
}

impl Http {
    pub(crate) fn new(id: u32, gate: SharedGate<Gate>) -> Self {
        Self { id, gate }
    }

    /// The gate is borrowed for the length of one callback, and callbacks do not nest.
    fn gate(&self) -> Option<RefMut<'_, Gate>> {
        self.gate.as_ref()?.try_borrow_mut().ok()
    }

    fn request(&self, act: impl FnOnce(&mut Gate) -> Passage) -> Action {
        let passage = match self.gate() {
            Some(mut gate) => act(&mut gate),
            None => gate::refuse_all(),
        };
        match passage {
            Passage::Open => Action::Continue,
            Passage::Answered | Passage::Waiting => Action::Pause,
        }
    }

    fn response(&self, act: impl FnOnce(&mut Gate) -> Action) -> Action {
        self.gate().map_or(Action::Continue, |mut gate| act(&mut gate))
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.request(|gate| gate.begin(self.id, end_of_stream))
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        self.request(|gate| gate.take_body(self.id, body_size, end_of_stream))
    }

    /// The end of a body that has trailers behind it.
    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.request(|gate| gate.end_body(self.id))
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.response(|gate| gate.answer(self.id, end_of_stream))
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        self.response(|gate| gate.take_answer(self.id, body_size, end_of_stream))
    }

    /// The end of a body that has trailers behind it.
    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        self.response(|gate| gate.end_answer(self.id))
    }

    fn on_log(&mut self) {
        if let Some(mut gate) = self.gate() {
            gate.end(self.id);
        }
    }
}

impl Context for Http {}

impl Drop for Http {
    /// The client may leave while its call waits.
    fn drop(&mut self) {
        if let Some(mut gate) = self.gate() {
            gate.authenticator().forget(self.id);
            gate.forget(self.id);
        }
    }
}
