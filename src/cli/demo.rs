//! `serve --demo`: stub
use super::Global;
use crate::config::Config;
#[derive(Debug)]
pub(super) struct Demo;
pub(super) async fn prepare(_global: &Global, _config: &mut Config) -> anyhow::Result<Demo> {
    Ok(Demo)
}
impl Demo {
    pub fn print_tour(&self, _base: &str) {}
}
