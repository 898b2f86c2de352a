//! What happens to every request: its connection, the boundary, admission, caller and body, and the state of the worker that serves
//! it. Invariant: nothing here names a handler.

pub mod admission;
mod answering;
pub mod authorities;
pub mod body;
pub mod boundary;
pub mod broken_rules;
pub mod budget;
pub mod caller;
pub mod connection;
pub mod exchange;
mod forwarded;
pub mod holder;
pub mod hosts;
pub mod lane;
pub mod lines;
pub mod media;
pub mod numbers;
pub mod polls;
pub mod proxies;
pub mod refusal_log;
pub mod repetition;
pub mod sandbox_node;
mod screen;
pub mod state;
pub mod stream;
pub mod tls;
pub mod tls_error;
pub mod wire;
