//! What is promised: the document, problems and their words, shared schemas, examples. Invariant: nothing here knows a request, a
//! caller or a handler.

pub mod answers;
mod causes;
pub mod collection;
pub mod deprecation;
pub mod examples;
pub mod explanations;
pub mod field_codes;
pub mod fields;
pub mod members;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod reference;
pub mod refusals;
pub mod roles;
pub mod route;
pub mod schema;
pub mod webhooks;
