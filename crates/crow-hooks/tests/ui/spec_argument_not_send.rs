use crow_hooks::{hookspecs};

#[hookspecs]
pub trait Shop {
    async fn order(list: &std::rc::Rc<u32>);
}

fn main() {}
