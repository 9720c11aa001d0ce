//! Distributed services from one ordinary `impl`.
//!
//! A service is a type with async methods. [`macro@service`] makes it reachable over encrypted
//! links, typed from Rust and as JSON from the command line; [`main!`] makes it a program that
//! starts nodes and calls them:
//!
//! ```
//! use distri::Result;
//!
//! /// Counts words.
//! #[derive(Default)]
//! pub struct WordCount;
//!
//! #[distri::service]
//! impl WordCount {
//!     /// Number of words in `text`.
//!     async fn count(&self, text: String) -> Result<usize> {
//!         Ok(text.split_whitespace().count())
//!     }
//! }
//!
//! distri::main!();
//! ```
//!
//! ```text
//! $ cargo run -- node
//! $ cargo run -- call word-count count text="to be or not"
//! 4
//! ```
//!
//! From Rust, through the client that the macro wrote:
//!
//! ```
//! # #[derive(Default)]
//! # pub struct WordCount;
//! # #[distri::service]
//! # impl WordCount {
//! #     async fn count(&self, text: String) -> distri::Result<usize> {
//! #         Ok(text.split_whitespace().count())
//! #     }
//! # }
//! # async fn example(client: distri::Client) -> distri::Result<()> {
//! let words = WordCountClient::new(client).count("to be or not".into()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to read on
//!
//! - [`macro@service`]: all that a service can say about itself: names, versions, who may call
//!   which method, which node serves it, large bytes ([`Blob`]) and sequences ([`Stream`]).
//! - [`Context`]: what a method knows of its caller, and how it reports progress.
//! - [`Error`] and [`ServiceError`]: failures that arrive typed.
//! - [`Node`] and [`Client`]: the same without the command line, for programs with a `main` of
//!   their own. [`service`](mod@service) shows a service by hand, without the macro.
//! - [`config`]: `distri.toml`, the environment, and what each setting costs.
//! - [`cli`]: the commands, also as parts of a larger command line.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `node` | yes | nodes; without it, a program only calls |
//! | `peer` | yes | [`peer::Peer`]: programs that host services without being part of the cloud |
//! | `iroh` | | links between peers over QUIC, through NATs and relays |
//! | `lan` | | peers that find each other on a local network, without a cloud |
//! | `relay` | | nodes that relay between peers |
//! | `cli` | yes | the command line and [`main!`]; crates that only define services do without |
//! | `services` | | the standard services, at `distri::services` |
//! | `testing` | | clouds in one process with injected faults, for tests of services |

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "services")]
pub use distri_services as services;

#[cfg(feature = "testing")]
pub use distri_core::testing;
pub use distri_core::{
    Blob, Call, Client, Code, Config, Context, Error, NodeHandle, Result, ServiceConfig,
    ServiceError, Stream, StreamSender, message, service,
};
#[cfg(feature = "node")]
pub use distri_core::{Node, http};
pub use distri_core::{
    client, cluster, config, directory, election, error, id, identity, node, peer, registry, rpc,
    signed, transport,
};

#[doc(hidden)]
pub use distri_core::__private;

/// Writes the `main` of a program with the commands of [`cli`]: `node`, `call`, `services` and the
/// others.
///
/// The program's own services are found by themselves. The compiler leaves out crates that nothing
/// mentions, and their services with them, so a program that hosts services of other crates names
/// these:
///
/// ```
/// # extern crate core as my_service;
/// distri::main!(my_service);
/// ```
///
/// Name, version and description in `--help` are those of the program's package.
#[cfg(feature = "cli")]
#[macro_export]
macro_rules! main {
    ($($service_crate:ident),* $(,)?) => {
        $(use $service_crate as _;)*

        fn main() -> ::std::process::ExitCode {
            $crate::cli::main($crate::cli::About {
                name: match ::core::option_env!("CARGO_BIN_NAME") {
                    ::core::option::Option::Some(name) => name,
                    ::core::option::Option::None => ::core::env!("CARGO_PKG_NAME"),
                },
                version: ::core::env!("CARGO_PKG_VERSION"),
                about: ::core::env!("CARGO_PKG_DESCRIPTION"),
            })
        }
    };
}
