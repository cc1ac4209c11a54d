class SentimentModelTester:
    """
    text
    text
    """

    def __init__(self, model, tokenizer):
        self.model = model
        self.tokenizer = tokenizer

    def test_sentiment_analysis(self, test_cases):
        """
        text

        text:
        - test_cases: text
        """
        results = []

        for i, test_case in enumerate(test_cases):
            text = test_case['text']
            expected_sentiment = test_case['expected_sentiment']

            inputs = self.tokenizer(text, return_tensors='pt', padding=True, truncation=True)

            with torch.no_grad():
                outputs = self.model(**inputs)
                probabilities = torch.softmax(outputs.logits, dim=1)
                predicted_class = torch.argmax(probabilities, dim=1).item()

            sentiment_labels = ['text', 'text', 'text']
            predicted_sentiment = sentiment_labels[predicted_class]

            is_correct = (predicted_sentiment == expected_sentiment)

            results.append({
                'test_id': i,
                'text': text,
                'expected': expected_sentiment,
                'predicted': predicted_sentiment,
                'confidence': probabilities.max().item(),
                'is_correct': is_correct,
                'probabilities': probabilities.tolist()[0]
            })

        return results

    def calculate_metrics(self, results):
        """text"""
        correct_count = sum(1 for r in results if r['is_correct'])
        accuracy = correct_count / len(results)

        sentiment_stats = {}
        for sentiment in ['text', 'text', 'text']:
            sentiment_cases = [r for r in results if r['expected'] == sentiment]
            if sentiment_cases:
                correct = sum(1 for r in sentiment_cases if r['is_correct'])
                sentiment_stats[sentiment] = {
                    'total': len(sentiment_cases),
                    'correct': correct,
                    'accuracy': correct / len(sentiment_cases)
                }

        return {
            'overall_accuracy': accuracy,
            'sentiment_stats': sentiment_stats,
            'total_tests': len(results)
        }
