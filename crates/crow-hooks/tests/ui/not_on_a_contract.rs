use crow_hooks::{hookimpls};

struct Plugin;

#[hookimpls]
impl Plugin {
    fn label(&self) {}
}

fn main() {}
