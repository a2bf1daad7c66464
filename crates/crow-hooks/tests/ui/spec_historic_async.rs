use crow_hooks::{hookspecs};

#[hookspecs]
pub trait Shop {
    #[hookspec(historic)]
    async fn opened(at: u32);
}

fn main() {}
