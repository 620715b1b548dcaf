//! `[server]` of the configuration: where to listen, and every bound of the front door.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

/// Where to listen and how much to bear. Every field may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cleartext address: HTTP/1.1 and HTTP/2 with prior knowledge. Default
    /// 127.0.0.1:8080: reachable from this machine only.
    pub listen: SocketAddr,
    /// TLS address: ALPN chooses HTTP/2 or HTTP/1.1. Default 127.0.0.1:8443; boto3
    /// sends bearer tokens to no other scheme.
    pub tls_listen: SocketAddr,
    /// Serve TLS at all. Default true.
    pub tls: bool,
    /// Names and addresses the TLS certificate holds besides `localhost`, 127.0.0.1 and
    /// ::1. Default none.
    pub tls_names: Vec<String>,

    /// Bytes of a request body. Default 32 MiB: Anthropic's own limit, and the highest
    /// of the vendors served.
    pub body_max_bytes: u64,
    /// Milliseconds without a byte of an unfinished request body. Default 30 s: more
    /// than any working network pauses.
    pub body_idle_timeout_ms: u64,
    /// Bytes of a request head, all headers together. Default 64 KiB: SigV4 with a
    /// session token needs about 4.
    pub head_max_bytes: u32,
    /// Headers of one request. Default 100: SDKs send about 30.
    pub headers_max: usize,
    /// Milliseconds from accept to the first whole request head, TLS handshake
    /// included. Default 10 s.
    pub head_timeout_ms: u64,
    /// Milliseconds a connection may be without any request in flight. Default 90 s:
    /// longer than the pools of the common SDKs keep one (60 s), so that they, not we,
    /// close and never race. Also bounds a later request head that trickles.
    pub idle_timeout_ms: u64,
    /// Milliseconds of silence within a streamed answer after which the client is sent its
    /// dialect's keepalive. Default 15 s: common proxies give up after 30 or 60.
    pub keepalive_ms: u64,
    /// Milliseconds a client may leave what we send unread before it counts as gone.
    /// Default 120 s.
    pub write_stall_timeout_ms: u64,
    /// Open connections, both ports together; more wait in the kernel's queue. Default
    /// 8192: at a few tens of KiB each, memory stays in bounds.
    pub max_connections: usize,
    /// Concurrent streams of one HTTP/2 connection. Default 256.
    pub h2_max_streams: u32,
    /// Milliseconds, after a shutdown was asked for, in which requests in flight may
    /// finish; then streams end with their dialect's error. Default 30 s, as
    /// Kubernetes gives by default.
    pub drain_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            tls_listen: (Ipv4Addr::LOCALHOST, 8443).into(),
            tls: true,
            tls_names: Vec::new(),
            body_max_bytes: 32 << 20,
            body_idle_timeout_ms: 30_000,
            head_max_bytes: 64 << 10,
            headers_max: 100,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 90_000,
            keepalive_ms: 15_000,
            write_stall_timeout_ms: 120_000,
            max_connections: 8192,
            h2_max_streams: 256,
            drain_timeout_ms: 30_000,
        }
    }
}

impl Config {
    /// The first setting that can never work, with the reason.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("body_max_bytes", self.body_max_bytes),
            ("body_idle_timeout_ms", self.body_idle_timeout_ms),
            ("headers_max", self.headers_max as u64),
            ("head_timeout_ms", self.head_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("keepalive_ms", self.keepalive_ms),
            ("write_stall_timeout_ms", self.write_stall_timeout_ms),
            ("max_connections", self.max_connections as u64),
            ("h2_max_streams", u64::from(self.h2_max_streams)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("server.{name} must be greater than 0"));
        }
        if self.head_max_bytes < MIN_HEAD_BYTES {
            return Err(format!("server.head_max_bytes must be at least {MIN_HEAD_BYTES}"));
        }
        if self.tls && self.listen == self.tls_listen && self.listen.port() != 0 {
            return Err("server.listen and server.tls_listen must differ".to_owned());
        }
        Ok(())
    }

    pub(crate) const fn body_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    pub(crate) const fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub(crate) const fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(crate) const fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive_ms)
    }

    pub(crate) const fn write_stall_timeout(&self) -> Duration {
        Duration::from_millis(self.write_stall_timeout_ms)
    }

    pub(crate) const fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// Below this no SDK's request head fits.
const MIN_HEAD_BYTES: u32 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        assert_eq!(Config::default().check(), Ok(()));
        assert!(Config::default().listen.ip().is_loopback());
    }

    #[test]
    fn faults_name_the_setting() {
        let config = Config { max_connections: 0, ..Config::default() };
        assert!(config.check().unwrap_err().contains("server.max_connections"));
        let same = Config { tls_listen: Config::default().listen, ..Config::default() };
        assert!(same.check().unwrap_err().contains("differ"));
        let small = Config { head_max_bytes: 100, ..Config::default() };
        assert!(small.check().unwrap_err().contains("head_max_bytes"));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<Config>(r#"{"body_max_byte": 1}"#).is_err());
        let config: Config = serde_json::from_str(r#"{"listen": "127.0.0.1:0"}"#).unwrap();
        assert_eq!(config.listen.port(), 0);
    }
}
