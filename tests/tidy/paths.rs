//! Paths of operations in code: they are in the route table, and in the attributes of handlers, which a test holds against it.

/// The lines that spell a path outside an attribute `utoipa::path`, with their numbers.
pub(super) fn outside_attributes(code: &str) -> Vec<(usize, &str)> {
    let (mut found, mut is_attribute) = (Vec::new(), false);
    for (at, line) in code.lines().map(str::trim).enumerate() {
        is_attribute |= line.starts_with("#[utoipa::path(");
        if line.contains("\"/v1/") && !(is_attribute && line.contains("path = \"/v1/")) {
            found.push((at + 1, line));
        }
        is_attribute &= !line.ends_with(")]");
    }
    found
}
