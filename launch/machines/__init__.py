"""The machines of a job: where this one stands among them, and how they meet."""
