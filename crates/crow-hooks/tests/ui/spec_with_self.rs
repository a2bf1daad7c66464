use crow_hooks::{hookspecs};

#[hookspecs]
pub trait Shop {
    async fn order(&self);
}

fn main() {}
