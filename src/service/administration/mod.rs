//! What operators do: organizations, their clients, and what these prove themselves by. What needs a second operator waits for one.
//! Clients of operators are made, and get what they prove themselves by, at the command line alone: who could make a second operator
//! here would approve what he asked for himself.

pub mod acts;
pub mod asked;
pub mod credentials;
pub mod offices;
pub mod persons;
pub mod requests;
pub mod undo;
mod waiting;
