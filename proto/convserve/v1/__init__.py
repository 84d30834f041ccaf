"""Messages generated from the `.proto` files beside them. `make proto` writes them."""
