//! HTTP, in rooms by what happens to a request: the table of routes, the handlers (`api`, `pages`), what every request passes
//! (`pipeline`), and what is promised (`contract`). Invariants: names point `routes -> api, pages -> pipeline -> contract`, never
//! back; status codes and headers appear only here; every refusal is a `Problem`; authentication, authorization and limits are
//! in a handler's signature. Handlers turn bodies into domain types and back, and orchestrate nothing.

pub mod api;
pub mod contract;
pub mod pages;
pub mod pipeline;
pub mod routes;
