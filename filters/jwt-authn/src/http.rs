//! One request.

use crate::gate::{self, Gate};
use doorward_effects::{Gate as _, Passage, SharedGate};
use doorward_host::{Action, Context, HttpContext};

/// The HTTP context of one request.
pub(crate) struct Http {
    id: u32,
    /// `None` if no configuration was accepted: every request is denied.
    gate: SharedGate<Gate>,
}

impl Http {
    pub(crate) fn new(id: u32, gate: SharedGate<Gate>) -> Self {
        Self { id, gate }
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        // The gate is borrowed for the length of one callback, and callbacks do not nest.
        let passage = match self.gate.as_ref().map(|gate| gate.try_borrow_mut()) {
            Some(Ok(mut gate)) => gate.admit(self.id),
            Some(Err(_)) | None => gate::deny(),
        };
        match passage {
            Passage::Open => Action::Continue,
            Passage::Answered | Passage::Waiting => Action::Pause,
        }
    }
}

impl Context for Http {}

impl Drop for Http {
    /// The client may leave while its request waits for keys.
    fn drop(&mut self) {
        if let Some(Ok(mut gate)) = self.gate.as_ref().map(|gate| gate.try_borrow_mut()) {
            gate.forget(self.id);
        }
    }
}
