//! Why a server cannot be talked to, in words that help: the errors of a gRPC client wrap each other, say "transport
//! error" first, and do not say that only one side speaks TLS.
//!
//! Called by everything here that is a client: the command, the controller, and the agent in front of another
//! server.

use std::error::Error;

/// How a client has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Without TLS.
    Plainly,
    /// With TLS.
    Tls,
}

/// The innermost error, for example "Connection refused", without the wrappers around it.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let innermost = chain(error).last().unwrap_or(error);
    match innermost.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => innermost.to_string(),
    }
}

/// The same with what to do about it, where that is known. `ca` is how the reader is told whom to believe, for
/// example `--agent-ca`.
pub fn cause(error: &(dyn Error + 'static), spoken: Spoken, ca: &str) -> String {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    let cause = root_cause(error);
    match advice(&texts.join(": "), spoken, ca) {
        Some(advice) => format!("{cause}; {advice}"),
        None => cause,
    }
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn advice(texts: &str, spoken: Spoken, ca: &str) -> Option<String> {
    let says = |words: &[&str]| words.iter().any(|words| texts.contains(words));
    Some(match spoken {
        Spoken::Tls if says(&["InvalidContentType"]) => {
            format!("the server does not speak TLS: leave {ca} out, or let it have a certificate")
        }
        Spoken::Tls if says(&["UnknownIssuer", "BadSignature"]) => format!(
            "nobody in the file of {ca} vouches for the server's certificate: give it the CA that does"
        ),
        Spoken::Tls if says(&["NotValidForName", "not valid for name"]) => {
            "the server's certificate is for other names: use one of them as the address".to_owned()
        }
        Spoken::Tls if says(&["CertificateRequired"]) => {
            format!("the server asks clients for a certificate: give one beside {ca}, with its key")
        }
        // A server that expects a handshake answers with an alert, which is no HTTP/2, or hangs up.
        Spoken::Plainly if says(&NO_HTTP2) => {
            format!("the server may expect TLS: say whom to believe with {ca}")
        }
        Spoken::Tls | Spoken::Plainly => return None,
    })
}

/// What a client without TLS makes of the answer of a server with it.
const NO_HTTP2: [&str; 5] = [
    "frame with invalid size",
    "http2 error",
    "connection closed",
    "Connection reset",
    "broken pipe",
];
