//! Who may use the page: only a browser that has opened this run's address.
//!
//! The lab can end processes, and listens on a port that every page in every browser of
//! this machine can reach. Three checks keep other pages out:
//!
//! - `Host` is the lab's own address. A page whose name was made to point to 127.0.0.1
//!   (DNS rebinding) sends another one.
//! - `Origin`, if there is one, is the lab's own. A browser adds it to the requests of
//!   foreign pages.
//! - The token of this run is in the address of the page, and in a header of every other
//!   request. Such a header makes a browser ask first whether a foreign page may send it
//!   (CORS), and the lab never says yes.

use std::{io, net::SocketAddr};

use crate::random::random_name;

/// The header with the token.
pub const TOKEN_HEADER: &str = "X-Lab-Token";

/// The address and the token of this run.
#[derive(Debug, Clone)]
pub struct Guard {
    port: u16,
    token: String,
}

/// The parts of a request that matter here.
#[derive(Debug, Default, Clone, Copy)]
pub struct Claims<'a> {
    /// The header `Host`.
    pub host: Option<&'a str>,
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The token, of the header or the address.
    pub token: Option<&'a str>,
}

impl Guard {
    /// With a token of 128 random bits.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read.
    pub fn new(address: SocketAddr) -> io::Result<Guard> {
        Ok(Guard { port: address.port(), token: random_name()? })
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.port, self.token)
    }

    /// The token of this run.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether a request may be answered; if not, why.
    ///
    /// # Errors
    /// A sentence for the client.
    pub fn check(&self, claims: Claims) -> Result<(), &'static str> {
        let hosts =
            ["127.0.0.1", "localhost"].map(|it| format!("{it}:{}", self.port));
        let is_own = |host: &str| hosts.iter().any(|it| it == host);
        if !claims.host.is_some_and(is_own) {
            return Err("this is the lab, and the request is for another host");
        }
        let is_foreign =
            |origin: &str| !origin.strip_prefix("http://").is_some_and(is_own);
        if claims.origin.is_some_and(is_foreign) {
            return Err("this is the lab, and the request comes from another page");
        }
        if !claims.token.is_some_and(|it| is_equal(it, &self.token)) {
            return Err(
                "open the address that the lab has printed: it ends with a token",
            );
        }
        Ok(())
    }
}

/// In a time that does not depend on where two texts differ.
fn is_equal(one: &str, other: &str) -> bool {
    let differences =
        one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard { port: 8000, token: "abc".to_owned() }
    }

    fn own() -> Claims<'static> {
        Claims { host: Some("127.0.0.1:8000"), origin: None, token: Some("abc") }
    }

    #[test]
    fn its_own_page_may_ask() {
        assert_eq!(guard().check(own()), Ok(()));
        let origin = Some("http://127.0.0.1:8000");
        assert_eq!(guard().check(Claims { origin, ..own() }), Ok(()));
        let host = Some("localhost:8000");
        assert_eq!(guard().check(Claims { host, ..own() }), Ok(()));
    }

    #[test]
    fn other_hosts_origins_and_tokens_may_not() {
        for host in [
            None,
            Some("evil.example:8000"),
            Some("127.0.0.1"),
            Some("127.0.0.1:80"),
        ] {
            assert!(guard().check(Claims { host, ..own() }).is_err(), "{host:?}");
        }
        for origin in ["null", "http://evil.example", "https://127.0.0.1:8000", ""]
        {
            let origin = Some(origin);
            assert!(
                guard().check(Claims { origin, ..own() }).is_err(),
                "{origin:?}"
            );
        }
        for token in [None, Some(""), Some("ab"), Some("abcd"), Some("abd")] {
            assert!(guard().check(Claims { token, ..own() }).is_err(), "{token:?}");
        }
    }

    #[test]
    fn two_tokens_differ() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let [one, other] =
            [(); 2].map(|()| Guard::new(address).expect("random").token);
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
