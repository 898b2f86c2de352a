//! What people open in a browser: the start page, the problems, and the files of the pages (`src/web`). Invariant: nothing about a
//! person is served here.

pub mod console;
pub mod desk;
pub mod files;
pub mod site;
pub mod station;
pub mod verify;
