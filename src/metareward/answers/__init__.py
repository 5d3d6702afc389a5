"""What answers look like, before anybody judges them: empty, looping, alike whatever was asked, verdicts."""
