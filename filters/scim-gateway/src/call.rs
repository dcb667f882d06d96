//! Where a call stands.

use doorward::gateway::{Call, Ending};
use doorward_host::clock::Stopwatch;

/// One call between its head and its end.
pub(crate) struct InFlight {
    pub(crate) call: Call,
    pub(crate) stage: Stage,
    pub(crate) body: Body,
    pub(crate) answer: Answering,
    /// Bytes of the answer's body that the proxy has buffered.
    pub(crate) answer_size: usize,
    watch: Stopwatch,
    /// How it was answered here.
    pub(crate) refused: Option<Ending>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A JWT is being judged by this rule.
    Judging(usize),
    /// Who calls is known; the body is not whole yet.
    Reading,
    /// It went on to the store.
    Forwarded,
    /// It was answered here.
    Refused,
}

/// Where the answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    /// It goes by as it comes, or is not there yet.
    Passing,
    /// It is held until its body is whole, to be rewritten.
    Held,
    /// It was held, and the client got a refusal instead: nothing of it may go on.
    Withheld,
}

/// What is there of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    /// Bytes that the proxy has buffered.
    pub(crate) size: usize,
    pub(crate) is_whole: bool,
}

impl InFlight {
    pub(crate) fn new(call: Call, watch: Stopwatch, is_whole: bool) -> Self {
        let body = Body { size: 0, is_whole };
        let answer = Answering::Passing;
        Self { call, stage: Stage::Reading, body, answer, answer_size: 0, watch, refused: None }
    }

    pub(crate) fn watch(&self) -> Stopwatch {
        self.watch
    }
}
