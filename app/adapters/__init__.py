"""LoRA adapters: registered, gated, loaded into every engine replica, promoted and rolled back by one pointer."""
