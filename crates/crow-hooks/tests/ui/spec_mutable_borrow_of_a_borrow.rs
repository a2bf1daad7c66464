use crow_hooks::{hookspecs};

pub struct Sink<'a>(&'a mut Vec<String>);

#[hookspecs]
pub trait Shop {
    async fn order(sink: &mut Sink<'_>);
}

fn main() {}
