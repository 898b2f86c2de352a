//! Servers under comparison: started as children, prepared with data, ended
//! with the run. Invariants: a child is ended by its own handle and also by
//! the kernel if this process dies; every wait has a deadline.

mod child;
mod prepare;
mod vitals;

pub(crate) use child::{Child, cpu_seconds};
pub(crate) use prepare::{SAMPLE, prepare};
pub(crate) use vitals::{Vitals, watch};
