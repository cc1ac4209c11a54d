"""What holds for the whole process: settings, forks and children, who tells of what it does."""
