//! # Chapter 6: change it while it runs
//!
//! Configuration, program and number of workers change, and no request is lost. Each
//! of these is a small state machine that does nothing itself, beside chapter 5's
//! supervisor:
//!
//! - [`Rollout`]: which worker is replaced next, and when a reload is undone.
//! - [`Liveness`]: which worker hangs.
//! - [`CrashLimit`]: when a worker that crashes again and again is given up.
//!
//! The program's master feeds them with events, and carries out what they say.
//! [`Config`] and [`Files`] are what is reloaded, [`Site`] serves them. [`upgrade`]
//! passes the listener to a new program, and [`backlog`] ends a listener.
//!
//! Read `config.rs` and `rollout.rs` first, then `master.rs` with one of the others
//! at a time.

pub mod backlog;
mod config;
mod crash_limit;
mod files;
mod liveness;
mod rollout;
mod site;
mod state;
pub mod upgrade;
pub mod worker;

pub use config::{Config, ConfigError};
pub use crash_limit::{CrashLimit, SHORT_LIFE};
pub use files::{File, Files};
pub use liveness::Liveness;
pub use rollout::{Member, Order, Rollout, Stage};
pub use site::Site;
pub use state::state_json;
