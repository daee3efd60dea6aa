//! [`WebError`]: everything that can go wrong, with the numbers that explain it.

use alloc::string::String;
use core::fmt;
use pool_core::{OverBudget, ReleaseError};

/// Why a request could not be served. Nothing was changed by it: counts and bytes are as before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WebError {
    /// The browser threw.
    Exception(Exception),
    /// No browser makes a buffer of this shape, or this one refused to.
    BadBuffer {
        /// Channels asked for.
        channels: u32,
        /// Frames asked for.
        frames: u32,
        /// Sample rate asked for, in hertz.
        sample_rate: f32,
        /// What is wrong with it.
        fault: BufferFault,
    },
    /// A delay line must be longer than 0 and shorter than 180 seconds.
    BadDelay {
        /// The longest delay asked for, in seconds.
        max_delay: f64,
    },
    /// A filter needs 1 to 20 finite coefficients of each kind, a feedforward one that is not 0, and a first feedback one that is not.
    BadFilter {
        /// Feedforward coefficients given.
        feedforward: usize,
        /// Feedback coefficients given.
        feedback: usize,
    },
    /// A splitter or a merger has 1 to 32 channels.
    BadChannels {
        /// Channels asked for.
        channels: u32,
    },
    /// The factory made a node that cannot be used again.
    NotPoolable {
        /// Its interface.
        interface: String,
        /// Why.
        reason: &'static str,
    },
    /// The transferred data of a buffer that is leased is gone; its channels are empty.
    Detached {
        /// The channel that was to be written.
        channel: u32,
    },
    /// More samples, or another channel, than the buffer has.
    OutOfRange {
        /// The channel that was to be written.
        channel: u32,
        /// Samples given.
        samples: usize,
        /// Channels the buffer has.
        channels: u32,
        /// Frames the buffer has.
        frames: u32,
    },
    /// The node has no parameter of this name.
    UnknownParam {
        /// The interface of the node, such as `"GainNode"`.
        interface: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// The audio context is closed: nothing it makes can sound again.
    ContextClosed {
        /// What was asked of it.
        operation: &'static str,
    },
    /// The pool is closed.
    PoolClosed,
    /// All objects that the pool may hold are leased.
    Exhausted {
        /// Objects leased now.
        leased: usize,
        /// Objects the pool may hold, in all or for the key.
        limit: usize,
    },
    /// The bytes do not fit the budget, even with every idle object evicted.
    OverBudget(OverBudget),
    /// The token is of another pool, or was given back before.
    Token(ReleaseError),
    /// This browser does not offer what is needed.
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
}

/// What is wrong with the shape of a buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BufferFault {
    /// No channel at all.
    ZeroChannels,
    /// More channels than the 32 that every browser supports.
    TooManyChannels,
    /// No frame at all.
    ZeroFrames,
    /// More bytes than the address space has.
    Overflow,
    /// Not a positive, finite number.
    SampleRate,
    /// The browser refused it: most often a sample rate out of its range.
    Refused(Exception),
}

/// An exception of the browser, or of the user's own factory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// What was being done, such as `"createGain"`.
    pub operation: &'static str,
    /// The name of the exception, such as `"NotSupportedError"`; empty if it had none.
    pub name: String,
    /// Its message.
    pub message: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}: {}", self.operation, self.name, self.message)
    }
}

impl fmt::Display for BufferFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroChannels => f.write_str("it has no channels"),
            Self::TooManyChannels => f.write_str("more than 32 channels"),
            Self::ZeroFrames => f.write_str("it has no frames"),
            Self::Overflow => f.write_str("more bytes than can be addressed"),
            Self::SampleRate => f.write_str("the sample rate is not a positive number"),
            Self::Refused(exception) => fmt::Display::fmt(exception, f),
        }
    }
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception(exception) => fmt::Display::fmt(exception, f),
            Self::BadBuffer { channels, frames, sample_rate, fault } => {
                write!(f, "no buffer of {channels} channels x {frames} frames at {sample_rate} Hz: {fault}")
            }
            Self::BadDelay { max_delay } => {
                write!(f, "a delay of at most {max_delay} s: must be above 0 and below 180 s")
            }
            Self::BadFilter { feedforward, feedback } => write!(
                f,
                "no filter of {feedforward} feedforward and {feedback} feedback coefficients: 1 to 20 of each, finite, \
                 not all feedforward ones 0, and the first feedback one not 0"
            ),
            Self::BadChannels { channels } => write!(f, "{channels} channels: must be 1 to 32"),
            Self::NotPoolable { interface, reason } => write!(f, "{interface} cannot be pooled: {reason}"),
            Self::Detached { channel } => {
                write!(f, "channel {channel} is empty: the buffer's data was transferred")
            }
            Self::OutOfRange { channel, samples, channels, frames } => write!(
                f,
                "{samples} samples for channel {channel} of a buffer of {channels} channels x {frames} frames"
            ),
            Self::UnknownParam { interface, name } => write!(f, "{interface} has no parameter `{name}`"),
            Self::ContextClosed { operation } => write!(f, "{operation}: the audio context is closed"),
            Self::PoolClosed => f.write_str("the pool is closed"),
            Self::Exhausted { leased, limit } => {
                write!(f, "all of {limit} objects are in use ({leased} leased)")
            }
            Self::OverBudget(refusal) => fmt::Display::fmt(refusal, f),
            Self::Token(error) => fmt::Display::fmt(error, f),
            Self::Unsupported { what } => write!(f, "this browser does not support {what}"),
        }
    }
}

impl WebError {
    /// A short name that stays the same from version to version, for programs: `"over-budget"`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exception(_) => "exception",
            Self::BadBuffer { .. } => "bad-buffer",
            Self::BadDelay { .. } => "bad-delay",
            Self::BadFilter { .. } => "bad-filter",
            Self::BadChannels { .. } => "bad-channels",
            Self::NotPoolable { .. } => "not-poolable",
            Self::Detached { .. } => "detached",
            Self::OutOfRange { .. } => "out-of-range",
            Self::UnknownParam { .. } => "unknown-param",
            Self::ContextClosed { .. } => "context-closed",
            Self::PoolClosed => "pool-closed",
            Self::Exhausted { .. } => "exhausted",
            Self::OverBudget(_) => "over-budget",
            Self::Token(_) => "bad-token",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}

impl core::error::Error for Exception {}
impl core::error::Error for WebError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Exception(exception) | Self::BadBuffer { fault: BufferFault::Refused(exception), .. } => {
                Some(exception)
            }
            _ => None,
        }
    }
}

impl From<ReleaseError> for WebError {
    fn from(error: ReleaseError) -> Self {
        Self::Token(error)
    }
}

impl From<Exception> for WebError {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

#[cfg(feature = "web-sys")]
mod from_js {
    use super::{Exception, String, WebError};
    use crate::bindings;
    use alloc::string::ToString;
    use wasm_bindgen::JsValue;

    impl Exception {
        /// Reads what the browser threw while `operation` was being done. Anything may be thrown; what has no
        /// name and message of its own is described.
        #[must_use]
        pub fn from_js(operation: &'static str, thrown: &JsValue) -> Self {
            let text = |name| bindings::text(thrown, name);
            let message = text("message").or_else(|| thrown.as_string());
            Self {
                operation,
                name: text("name").unwrap_or_default(),
                message: message.unwrap_or_else(|| String::from("a value that is no error was thrown")),
            }
        }

        /// Shorthand for `map_err`.
        pub(crate) fn of(operation: &'static str) -> impl Fn(JsValue) -> WebError {
            move |thrown| WebError::Exception(Self::from_js(operation, &thrown))
        }
    }

    /// A JavaScript `Error` with the same text.
    impl From<WebError> for JsValue {
        fn from(error: WebError) -> Self {
            js_sys::Error::new(&error.to_string()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    // An error that does not tell what was asked for leaves the user guessing.
    #[test]
    fn errors_carry_their_numbers() {
        let error = WebError::BadBuffer {
            channels: 0,
            frames: 128,
            sample_rate: 48000.0,
            fault: BufferFault::ZeroChannels,
        };
        assert_eq!(error.to_string(), "no buffer of 0 channels x 128 frames at 48000 Hz: it has no channels");
        assert!(WebError::BadDelay { max_delay: 200.0 }.to_string().contains("200"));
        assert!(WebError::Exhausted { leased: 4, limit: 4 }.to_string().contains('4'));
        let error = WebError::OutOfRange { channel: 2, samples: 9, channels: 2, frames: 8 };
        assert!(error.to_string().contains("9 samples for channel 2"), "{error}");
    }

    // The cause must stay reachable through the wrapper.
    #[test]
    fn a_refusal_of_the_browser_is_the_source() {
        let exception =
            Exception { operation: "createBuffer", name: "NotSupportedError".into(), message: "rate".into() };
        let error = WebError::BadBuffer {
            channels: 1,
            frames: 1,
            sample_rate: 1.0,
            fault: BufferFault::Refused(exception.clone()),
        };
        assert_eq!(core::error::Error::source(&error).map(ToString::to_string), Some(exception.to_string()));
        assert!(error.to_string().contains("NotSupportedError"));
    }
}
